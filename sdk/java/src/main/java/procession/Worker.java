package procession;

import com.google.gson.Gson;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.net.http.HttpClient;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import procession.protocol.Names;
import procession.protocol.Served;

/**
 * A program that carries out actions.
 *
 * <pre>{@code
 * new Worker().register("step1", payload -> "done: " + payload).start();
 * }</pre>
 *
 * <p>The server and the token come from PROCESSION_URL and PROCESSION_TOKEN (or PROCESSION_TOKEN_FILE)
 * where they are not given.
 */
public final class Worker {
    private static final int MOST_SLOTS = 1_000;
    private static final long LAST_WORDS = 10; // seconds beyond the grace

    private final Place place = new Place(System.getenv());
    private final Map<String, Action<?>> actions = new LinkedHashMap<>();
    private final CountDownLatch over = new CountDownLatch(1);
    private String name = "java-worker-" + UUID.randomUUID().toString().substring(0, 8);
    private int slots = 16;
    private Duration grace = Duration.ofSeconds(30);
    private Transport transport = Transport.AUTO;
    private Gson gson = Payloads.DEFAULT;
    private HttpClient http;
    private Loop loop;
    private boolean isStopped;

    /** Where the server is: {@code http://127.0.0.1:8080} unless something else is said. */
    public Worker url(String url) {
        place.url(url);
        return this;
    }

    /** A token of the role {@code worker}. */
    public Worker token(String token) {
        place.token(token);
        return this;
    }

    /** A file that holds the token; it is read whenever a connection begins. */
    public Worker tokenFile(Path file) {
        place.tokenFile(file);
        return this;
    }

    /** What people see it by; made up unless it is given. */
    public Worker name(String given) {
        name = Names.worker(given);
        return this;
    }

    /** How many tasks it does at once, each in a thread: 16 unless something else is said. */
    public Worker slots(int given) {
        if (given < 1 || given > MOST_SLOTS) {
            throw new IllegalArgumentException("slots: a number from 1 to " + MOST_SLOTS + " is due, not " + given);
        }
        slots = given;
        return this;
    }

    /** How long what is in hand may go on when the worker is stopped: 30 s unless it is said. */
    public Worker grace(Duration given) {
        if (given.isNegative()) {
            throw new IllegalArgumentException("grace: " + given + " is less than nothing");
        }
        grace = given;
        return this;
    }

    public Worker transport(Transport given) {
        transport = given;
        return this;
    }

    /** Reads payloads and writes outputs. */
    public Worker gson(Gson given) {
        gson = given;
        return this;
    }

    /** For proxies and certificates of one's own. */
    public Worker http(HttpClient given) {
        http = given;
        return this;
    }

    /** Serves an action whose payload is wanted as text: a JSON text as it is, anything else as JSON. */
    public Worker register(String action, Handler<String> handler) {
        return register(action, String.class, handler);
    }

    public Worker register(String action, ContextHandler<String> handler) {
        return register(action, String.class, handler);
    }

    /** Serves an action whose payload is read by Gson: a record, a Map, JsonElement for JSON as it is. */
    public <T> Worker register(String action, Class<T> payload, Handler<? super T> handler) {
        return register(action, payload, (T value, Context context) -> handler.handle(value));
    }

    public <T> Worker register(String action, Class<T> payload, ContextHandler<? super T> handler) {
        if (actions.containsKey(Names.action(action))) {
            throw new IllegalArgumentException("the action " + action + " has a handler already");
        }
        ContextHandler<T> exact = handler::handle;
        actions.put(action, new Action<>(payload, exact));
        return this;
    }

    /** As {@link #start()}, with the server at this address. */
    public void start(String url) {
        url(url).start();
    }

    /**
     * Works until it is stopped: by {@link #stop}, by SIGTERM or SIGINT, or by an interrupt. Then it
     * takes nothing more, and what is in hand has the grace to end.
     *
     * @throws Refused if the server does not let this worker in
     */
    public void start() {
        Loop begun = begin();
        Thread hook = new Thread(this::stopAndWait, "procession-stop");
        Runtime.getRuntime().addShutdownHook(hook);
        try {
            begun.run();
        } finally {
            over.countDown();
            forget(hook);
        }
        if (begun.wasInterrupted()) {
            Thread.currentThread().interrupt();
        }
    }

    private synchronized Loop begin() {
        if (loop != null) {
            throw new IllegalStateException("this worker was started already: each starts once");
        }
        if (actions.isEmpty()) {
            throw new IllegalStateException("nothing is served: register an action before the start");
        }
        loop = new Loop(setup());
        if (isStopped) {
            loop.stop();
        }
        return loop;
    }

    private Setup setup() {
        place.secret(); // what is missing is said before anything begins
        HttpClient client = http != null ? http : HttpClient.newHttpClient();
        return new Setup(
                place,
                place.server(),
                client,
                new Served(name, slots, List.copyOf(actions.keySet()), Version.SDK, host(), ProcessHandle.current().pid()),
                Map.copyOf(actions),
                gson,
                transport,
                grace.toMillis() / 1e3);
    }

    /**
     * Lets {@link #start} come to its end; from any thread. Said a second time, what is in hand is
     * interrupted at once; said a third time, it is not waited for.
     */
    public synchronized void stop() {
        isStopped = true;
        if (loop != null) {
            loop.stop();
        }
    }

    private void stopAndWait() {
        stop();
        try {
            if (!over.await(grace.toSeconds() + LAST_WORDS, TimeUnit.SECONDS)) {
                System.err.println("procession: the worker has not ended in time");
            }
        } catch (InterruptedException interrupt) {
            Thread.currentThread().interrupt();
        }
    }

    private static void forget(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException ending) {
            // It is the hook that has ended this worker.
        }
    }

    private static String host() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException nameless) {
            return null;
        }
    }
}
