package procession.support;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * The other end of the wire: it hears a worker and says what a test wants. It greets whoever says
 * hello, and decides nothing.
 */
public final class FakeServer implements AutoCloseable {
    private static final String MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    private static final int TEXT = 1;
    private static final int CLOSE = 8;
    private static final int PING = 9;
    private static final int PONG = 10;

    /** A message of a worker, and the session that it belongs to. */
    public record Told(String session, JsonObject message) {
        public String type() {
            return message.get("type").getAsString();
        }

        public String text(String name) {
            return message.get(name).getAsString();
        }
    }

    public final ConcurrentLinkedQueue<String> authorizations = new ConcurrentLinkedQueue<>();
    public volatile double beat = 5;
    public volatile int refusesStreams; // with this status
    public volatile int refusesPolls;
    public volatile boolean greets = true;

    private final ServerSocket listening = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    private final BlockingQueue<Told> heard = new LinkedBlockingQueue<>();
    private final List<String> waiting = new ArrayList<>(); // for whoever polls
    private volatile Socket stream;
    private volatile String session;

    public FakeServer() throws IOException {
        Thread thread = new Thread(this::listen, "fake-server");
        thread.setDaemon(true);
        thread.start();
    }

    public String url() {
        return "http://127.0.0.1:" + listening.getLocalPort();
    }

    // What a test does.

    /** The next message of this type; those before it are passed over. */
    public Told next(String type) throws InterruptedException {
        while (true) {
            Told told = heard.poll(60, TimeUnit.SECONDS);
            Check.that(told != null, "no " + type + " came");
            if (told.type().equals(type)) {
                return told;
            }
        }
    }

    /** The next message, unless it is only a sign of life. */
    public Told next() throws InterruptedException {
        Told told = heard.poll(60, TimeUnit.SECONDS);
        Check.that(told != null, "nothing came");
        return told.type().equals("lease") ? next() : told;
    }

    public void offer(String attempt, String action, JsonElement payload) throws IOException {
        offer(attempt, action, payload, null);
    }

    public void offer(String attempt, String action, JsonElement payload, Double timeout) throws IOException {
        JsonObject offer = message("offer", attempt);
        offer.addProperty("action", action);
        offer.add("payload", payload);
        offer.addProperty("run", "0199a0b0-0000-7000-8000-000000000001");
        offer.addProperty("task", "it");
        offer.addProperty("type_name", "orders");
        offer.addProperty("number", 1);
        offer.addProperty("key", "12:1");
        offer.addProperty("timeout", timeout);
        say(offer);
    }

    public void command(String attempt, String verb) throws IOException {
        JsonObject command = message("command", attempt);
        command.addProperty("verb", verb);
        command.addProperty("reason", "somebody asked for it");
        say(command);
    }

    public void have(String attempt) throws IOException {
        JsonObject have = message("have");
        JsonArray attempts = new JsonArray();
        attempts.add(attempt);
        have.add("attempts", attempts);
        say(have);
    }

    public void bye(boolean fenced) throws IOException {
        JsonObject bye = message("bye");
        bye.addProperty("why", "nothing was heard of it");
        bye.addProperty("fenced", fenced);
        say(bye);
    }

    public static JsonObject message(String type) {
        JsonObject message = new JsonObject();
        message.addProperty("type", type);
        return message;
    }

    public static JsonObject message(String type, String attempt) {
        JsonObject message = message(type);
        message.addProperty("attempt", attempt);
        return message;
    }

    public synchronized void say(JsonObject message) throws IOException {
        if (stream == null) {
            waiting.add(message.toString());
        } else {
            frame(TEXT, framed(List.of(message.toString())).getBytes(StandardCharsets.UTF_8));
        }
    }

    public synchronized void say(String frame) throws IOException {
        frame(TEXT, frame.getBytes(StandardCharsets.UTF_8));
    }

    public synchronized void end(int code, String why) throws IOException {
        byte[] reason = why.getBytes(StandardCharsets.UTF_8);
        frame(CLOSE, ByteBuffer.allocate(2 + reason.length).putShort((short) code).put(reason).array());
    }

    /** Without a word. */
    public void drop() throws IOException {
        stream.close();
    }

    @Override
    public void close() throws IOException {
        listening.close();
        if (stream != null) {
            stream.close();
        }
    }

    // How it does it.

    private void listen() {
        while (!listening.isClosed()) {
            try {
                Socket socket = listening.accept();
                Thread thread = new Thread(() -> serve(socket), "fake-connection");
                thread.setDaemon(true);
                thread.start();
            } catch (IOException closed) {
                return;
            }
        }
    }

    private void serve(Socket socket) {
        try (socket) {
            DataInputStream in = new DataInputStream(new BufferedInputStream(socket.getInputStream()));
            while (true) {
                Map<String, String> head = head(in);
                authorizations.add(head.getOrDefault("authorization", ""));
                if (head.get("").contains("/workers/stream ")) {
                    stream(socket, in, head);
                    return;
                }
                poll(socket.getOutputStream(), in, head);
            }
        } catch (IOException gone) {
            // Connections end.
        }
    }

    private static Map<String, String> head(DataInputStream in) throws IOException {
        Map<String, String> head = new HashMap<>();
        head.put("", line(in));
        for (String line = line(in); !line.isEmpty(); line = line(in)) {
            int colon = line.indexOf(':');
            head.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).strip());
        }
        return head;
    }

    private static String line(DataInputStream in) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int each = in.readByte(); each != '\n'; each = in.readByte()) {
            line.write(each);
        }
        return line.toString(StandardCharsets.UTF_8).strip();
    }

    private void poll(OutputStream out, DataInputStream in, Map<String, String> head) throws IOException {
        byte[] body = in.readNBytes(Integer.parseInt(head.getOrDefault("content-length", "0")));
        if (refusesPolls != 0) {
            answer(out, refusesPolls, "{\"detail\": \"no\"}");
            return;
        }
        List<String> said = new ArrayList<>(hear(new String(body, StandardCharsets.UTF_8)));
        synchronized (this) {
            said.addAll(waiting);
            waiting.clear();
        }
        answer(out, 200, framed(said));
    }

    private static void answer(OutputStream out, int status, String body) throws IOException {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        String head = "HTTP/1.1 " + status + " X\r\nContent-Type: application/json\r\nContent-Length: " + bytes.length;
        out.write((head + "\r\n\r\n").getBytes(StandardCharsets.UTF_8));
        out.write(bytes);
        out.flush();
    }

    private void stream(Socket socket, DataInputStream in, Map<String, String> head) throws IOException {
        if (refusesStreams != 0) {
            answer(socket.getOutputStream(), refusesStreams, "no");
            return;
        }
        String accept = accept(head.get("sec-websocket-key"));
        String switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Protocol: procession.worker.1\r\nSec-WebSocket-Accept: " + accept + "\r\n\r\n";
        socket.getOutputStream().write(switching.getBytes(StandardCharsets.UTF_8));
        stream = socket;
        while (true) {
            read(in);
        }
    }

    private static String accept(String key) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-1").digest((key + MAGIC).getBytes(StandardCharsets.UTF_8));
            return Base64.getEncoder().encodeToString(digest);
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    private void read(DataInputStream in) throws IOException {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        boolean isLast = false;
        while (!isLast) {
            int first = in.readUnsignedByte();
            byte[] content = unmasked(in);
            switch (first & 0xF) {
                case PING -> {
                    synchronized (this) {
                        frame(PONG, content);
                    }
                }
                case PONG -> {}
                case CLOSE -> throw new IOException("closed");
                default -> {
                    text.write(content);
                    isLast = (first & 0x80) != 0;
                }
            }
        }
        List<String> said = hear(text.toString(StandardCharsets.UTF_8));
        if (!said.isEmpty()) {
            synchronized (this) {
                frame(TEXT, framed(said).getBytes(StandardCharsets.UTF_8));
            }
        }
    }

    private static byte[] unmasked(DataInputStream in) throws IOException {
        long length = in.readUnsignedByte() & 0x7F;
        length = length == 126 ? in.readUnsignedShort() : length == 127 ? in.readLong() : length;
        byte[] mask = in.readNBytes(4);
        byte[] content = in.readNBytes((int) length);
        for (int place = 0; place < content.length; place++) {
            content[place] ^= mask[place % 4];
        }
        return content;
    }

    private void frame(int kind, byte[] content) throws IOException {
        ByteBuffer head = ByteBuffer.allocate(10).put((byte) (0x80 | kind));
        if (content.length < 126) {
            head.put((byte) content.length);
        } else if (content.length < 1 << 16) {
            head.put((byte) 126).putShort((short) content.length);
        } else {
            head.put((byte) 127).putLong(content.length);
        }
        OutputStream out = stream.getOutputStream();
        out.write(head.array(), 0, head.position());
        out.write(content);
        out.flush();
    }

    /** What is answered at once. */
    private List<String> hear(String text) {
        JsonObject frame = JsonParser.parseString(text).getAsJsonObject();
        session = frame.get("session").getAsString();
        List<String> said = new ArrayList<>();
        for (JsonElement each : frame.getAsJsonArray("messages")) {
            Told told = new Told(session, each.getAsJsonObject());
            if (greets && told.type().equals("hello")) {
                said.add(welcome().toString());
            }
            heard.add(told);
        }
        return said;
    }

    private JsonObject welcome() {
        JsonObject welcome = message("welcome");
        welcome.addProperty("protocol", 1);
        welcome.addProperty("beat", beat);
        welcome.addProperty("lease", 4 * beat);
        welcome.addProperty("clock", 0);
        welcome.addProperty("poll", 0.05);
        welcome.addProperty("server", "fake");
        welcome.add("forget", new JsonArray());
        return welcome;
    }

    private String framed(List<String> messages) {
        return "{\"session\":\"" + session + "\",\"messages\":[" + String.join(",", messages) + "]}";
    }
}
