# Echo server, "LENGTH\n" and bytes: a thread per connection. server.rb ADDRESS PORT
require 'socket'
server = TCPServer.new(ARGV[0], ARGV[1].to_i)
loop do
  Thread.new(server.accept) do |peer|
    while (size = peer.gets)
      peer.write(peer.read(size.to_i))
    end
    peer.close
  end
end
