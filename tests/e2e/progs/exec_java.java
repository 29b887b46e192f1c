import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.Socket;

/** Starts programs with an empty environment while a connection is open: ADDRESS PORT MARKER. */
class ExecJava {
    public static void main(String[] words) throws Exception {
        try (Socket socket = new Socket(words[0], Integer.parseInt(words[1]))) {
            var answers = new BufferedReader(new InputStreamReader(socket.getInputStream()));
            for (int round = 0; round < 3; round++) {
                socket.getOutputStream().write((words[2] + " " + round + "\n").getBytes());
                System.out.println(answers.readLine());
                var builder = new ProcessBuilder("/bin/sh", "-c", "ls -l /proc/self/fd | grep -c socket; exit 3");
                builder.environment().clear();
                Process process = builder.start();
                new BufferedReader(new InputStreamReader(process.getInputStream())).lines().forEach(System.out::println);
                System.out.println(process.waitFor());
            }
        }
    }
}
