import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;

/** Sends the marker and 10 MB to each port of JavaServer, with HttpClient, a Socket and a SocketChannel. */
class JavaClient {
    static byte[] marker;
    static final byte[] BIG = new byte[10_000_000];

    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[1]);
        marker = args[2].getBytes();
        new Random(1).nextBytes(BIG);
        http(args[0], port);
        try (Socket socket = new Socket(args[0], port + 1)) {
            exchange(socket);
        }
        try (SocketChannel channel = SocketChannel.open(new InetSocketAddress(args[0], port + 2))) {
            exchange(channel.socket());
        }
        startedProgram(args[0], port);
        System.out.println("all came back");
    }

    static HttpRequest post(String host, int port, byte[] body) {
        return HttpRequest.newBuilder(URI.create("http://" + host + ":" + port + "/"))
            .POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
    }

    static void http(String host, int port) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        expect(marker, client.send(post(host, port, marker), BodyHandlers.ofByteArray()).body());
        expect(BIG, client.send(post(host, port, BIG), BodyHandlers.ofByteArray()).body());
        List<CompletableFuture<byte[]>> replies = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            replies.add(client.sendAsync(post(host, port, marker), BodyHandlers.ofByteArray())
                .thenApply(reply -> reply.body()));
        }
        for (CompletableFuture<byte[]> reply : replies) {
            expect(marker, reply.get());
        }
    }

    static void exchange(Socket socket) throws Exception {
        socket.setTcpNoDelay(true);
        for (byte[] message : new byte[][] {marker, BIG}) {
            Thread writer = new Thread(() -> send(socket, message));
            writer.start();
            byte[] reply = new byte[message.length];
            if (socket.getChannel() == null) {
                new DataInputStream(socket.getInputStream()).readFully(reply);
            } else {
                ByteBuffer buffer = ByteBuffer.wrap(reply);
                while (buffer.hasRemaining() && socket.getChannel().read(buffer) >= 0) {
                }
            }
            writer.join();
            expect(message, reply);
        }
    }

    static void send(Socket socket, byte[] message) {
        try {
            if (socket.getChannel() == null) {
                OutputStream out = socket.getOutputStream();
                out.write(message);
            } else {
                ByteBuffer buffer = ByteBuffer.wrap(message);
                while (buffer.hasRemaining()) {
                    socket.getChannel().write(buffer);
                }
            }
        } catch (IOException problem) {
            throw new IllegalStateException(problem);
        }
    }

    /** The JDK starts programs through a helper of its own; an open connection must not notice. */
    static void startedProgram(String host, int port) throws Exception {
        try (Socket socket = new Socket(host, port + 1)) {
            socket.getOutputStream().write(marker);
            Process process = new ProcessBuilder("echo", "child").start();
            expect("child\n".getBytes(), process.getInputStream().readAllBytes());
            process.waitFor();
            socket.getOutputStream().write(marker);
            byte[] reply = new byte[2 * marker.length];
            new DataInputStream(socket.getInputStream()).readFully(reply);
            expect(marker, Arrays.copyOf(reply, marker.length));
        }
    }

    static void expect(byte[] sent, byte[] came) {
        if (!Arrays.equals(sent, came)) {
            throw new IllegalStateException("sent " + sent.length + " bytes, other " + came.length + " came back");
        }
    }
}
