# Client of the echo servers, several threads. client.rb ADDRESS PORT MARKER
require 'socket'
threads = 4.times.map do
  Thread.new do
    TCPSocket.open(ARGV[0], ARGV[1].to_i) do |peer|
      [ARGV[2], 'x', Random.bytes(3_000_000)].each do |body|
        writer = Thread.new { peer.write("#{body.bytesize}\n", body) }
        raise 'something else came back' unless peer.read(body.bytesize) == body.b
        writer.join
      end
      peer.write("3\nabc")
      raise 'nothing came' unless peer.wait_readable(20)
      raise 'something else came back' unless peer.read_nonblock(10) == 'abc'
    end
  end
end
threads.each(&:join)
puts 'all came back'
