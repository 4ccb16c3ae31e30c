package procession;

import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.function.Consumer;

/** What an attempt prints, line by line and to its end, whatever becomes of the connection. */
final class Following {
    private static final int MOST_FAILURES = 8; // one after the other

    private final Asking asking;
    private final String path;
    private final Consumer<String> lines;
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final ByteArrayOutputStream err = new ByteArrayOutputStream();
    private String last;
    private boolean isOver;
    private int failures;

    Following(Asking asking, String path, Consumer<String> lines) {
        this.asking = asking;
        this.path = path;
        this.lines = lines;
    }

    void toItsEnd() {
        while (!isOver) {
            try (BufferedReader told =
                    new BufferedReader(new InputStreamReader(asking.follow(path, last), StandardCharsets.UTF_8))) {
                hear(told);
            } catch (IOException cut) {
                failed(cut);
            }
        }
        flush(out);
        flush(err);
    }

    private void failed(IOException cut) {
        if (++failures > MOST_FAILURES) {
            throw new UncheckedIOException("what is printed was not read to its end", cut);
        }
        Asking.pause(Math.min(250L << failures, 10_000));
    }

    /** An answer without a word says that nothing is left to be told. */
    private void hear(BufferedReader told) throws IOException {
        String kind = "";
        String data = "";
        String id = null;
        boolean isSomething = false;
        for (String line = told.readLine(); line != null && !isOver; line = told.readLine()) {
            isSomething = true;
            if (line.isEmpty()) {
                take(kind, data);
                last = id == null ? last : id;
                kind = "";
            } else if (line.startsWith("event:")) {
                kind = line.substring(6).strip();
            } else if (line.startsWith("data:")) {
                data = line.substring(5).strip();
            } else if (line.startsWith("id:")) {
                id = line.substring(3).strip();
            }
        }
        if (isSomething && !isOver) {
            throw new IOException("the stream was cut off");
        }
        isOver = true;
    }

    private void take(String kind, String data) {
        switch (kind) {
            case "out" -> print(out, data);
            case "err" -> print(err, data);
            case "gap" -> lines.accept("… " + told(data).get("missing").getAsLong() + " bytes are not kept …");
            case "end" -> isOver = true;
            default -> {}
        }
        failures = kind.isEmpty() ? failures : 0;
    }

    private void print(ByteArrayOutputStream waiting, String data) {
        for (byte each : Base64.getDecoder().decode(told(data).get("data").getAsString())) {
            if (each == '\n') {
                lines.accept(waiting.toString(StandardCharsets.UTF_8));
                waiting.reset();
            } else {
                waiting.write(each);
            }
        }
    }

    private JsonObject told(String data) {
        return asking.parsed(data).getAsJsonObject();
    }

    private void flush(ByteArrayOutputStream waiting) {
        if (waiting.size() > 0) {
            lines.accept(waiting.toString(StandardCharsets.UTF_8));
        }
    }
}
