package procession.support;

import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import procession.Client;

/** A server with a database of its own, for all tests that want one; it ends with the program. */
public final class RealServer {
    private static RealServer only;
    private static String missing;

    public final String url;
    public final String admin;
    public final String worker;
    private final Process process;
    private final Path folder;

    /** The one that there is, begun by the first who asks. */
    public static synchronized RealServer get() throws Exception {
        if (missing != null) {
            throw new Skipped(missing);
        }
        if (only == null) {
            only = begun(command());
        }
        return only;
    }

    /** Given by PROCESSION, or that of the repository. */
    private static String command() {
        String given = System.getenv("PROCESSION");
        Path own = Path.of("../../.venv/bin/procession");
        String command = given != null && !given.isBlank() ? given : own.toString();
        if (!Files.isExecutable(Path.of(command))) {
            missing = "there is no server to start: PROCESSION names the command `procession`";
            throw new Skipped(missing);
        }
        return Path.of(command).toAbsolutePath().normalize().toString();
    }

    private static RealServer begun(String command) throws Exception {
        Path folder = Files.createTempDirectory("procession-java");
        ProcessBuilder starting =
                new ProcessBuilder(command, "up", "--workers", "0", "--port", "0", "--data-dir", folder + "/data");
        Map<String, String> environment = starting.environment();
        environment.keySet().removeIf(each -> each.startsWith("PROCESSION"));
        // Who is killed is missed soon, and who is only slow is not.
        environment.put("PROCESSION_SERVER__REMOTE__BEAT", "1");
        environment.put("PROCESSION_SERVER__REMOTE__LEASE", "8");
        environment.put("PROCESSION_SERVER__REMOTE__POLL", "0.1");
        environment.put("PROCESSION_LEASE__LENGTH", "8s");
        environment.put("PROCESSION_LEASE__RENEW_EVERY", "1s");
        Process process = starting.redirectError(folder.resolve("log").toFile()).start();
        return new RealServer(process, folder);
    }

    private RealServer(Process process, Path folder) throws Exception {
        this.process = process;
        this.folder = folder;
        Runtime.getRuntime().addShutdownHook(new Thread(this::end));
        url = ready();
        admin = Files.readString(folder.resolve("data/admin.token")).strip();
        JsonObject wish = new JsonObject();
        wish.addProperty("name", "java");
        wish.addProperty("role", "worker");
        worker = client().post("/tokens", wish).getAsJsonObject().get("token").getAsString();
    }

    private String ready() throws IOException {
        BufferedReader said =
                new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        for (String line = said.readLine(); line != null; line = said.readLine()) {
            if (line.startsWith("ready ")) {
                return List.of(line.split(" ")).get(1);
            }
        }
        throw new AssertionError("the server did not begin: " + Files.readString(folder.resolve("log")));
    }

    public Client client() {
        return new Client(url).token(admin);
    }

    private void end() {
        process.destroy();
        try {
            if (!process.waitFor(30, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
            clear();
        } catch (InterruptedException | IOException error) {
            System.err.println("the server of the tests has left something behind: " + error);
        }
    }

    private void clear() throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path each : all.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(each);
            }
        }
    }
}
