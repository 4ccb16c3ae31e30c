package procession;

import com.google.gson.JsonElement;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.UUID;
import procession.carriers.Web;

/** Requests and their answers. What may be said twice is said again when nobody was there. */
final class Asking {
    static final String JSON = "application/json";
    private static final Duration ANSWER = Duration.ofSeconds(30);
    private static final long[] PAUSES = {250, 1_000, 3_000}; // milliseconds
    private static final long[] PATIENTLY = {250, 1_000, 3_000, 5_000, 10_000, 20_000, 20_000};
    private static final int AWAY = 503;

    private final Place place;
    private final HttpClient http;

    Asking(Place place, HttpClient http) {
        this.place = place;
        this.http = http;
    }

    JsonElement get(String path) {
        return json(send(() -> request(path, ANSWER).GET().build(), BodyHandlers.ofString()));
    }

    /** Answered when what is asked for is over, or after so many seconds. A server may begin anew meanwhile. */
    JsonElement getWithin(String path, long seconds) {
        Duration patience = ANSWER.plusSeconds(seconds);
        return json(send(
                PATIENTLY,
                () -> request(path, patience).header("Prefer", "wait=" + seconds).GET().build(),
                BodyHandlers.ofString()));
    }

    /** With a key the same is done once, however often it is asked. */
    String post(String path, String body, String type, String key) {
        String said = key == null ? UUID.randomUUID().toString() : key;
        return send(
                        () -> request(path, ANSWER)
                                .header("Content-Type", type)
                                .header("Idempotency-Key", said)
                                .POST(BodyPublishers.ofString(body))
                                .build(),
                        BodyHandlers.ofString())
                .body();
    }

    /** Events that go on while what they tell of does, behind the last that was heard. */
    InputStream follow(String path, String last) {
        return send(() -> following(path, last), BodyHandlers.ofInputStream()).body();
    }

    private HttpRequest following(String path, String last) {
        HttpRequest.Builder builder = builder(path).header("Accept", "text/event-stream");
        return (last == null ? builder : builder.header("Last-Event-ID", last)).GET().build();
    }

    private HttpRequest.Builder request(String path, Duration patience) {
        return builder(path).timeout(patience);
    }

    private HttpRequest.Builder builder(String path) {
        return new Web(http, place.server(), place.secret()).request(path).header("User-Agent", Version.SDK);
    }

    /** Makes a request; each try has one of its own. */
    private interface Making {
        HttpRequest make();
    }

    private <T> HttpResponse<T> send(Making making, BodyHandler<T> reading) {
        return send(PAUSES, making, reading);
    }

    private <T> HttpResponse<T> send(long[] pauses, Making making, BodyHandler<T> reading) {
        for (long pause : pauses) {
            try {
                HttpResponse<T> answer = http.send(making.make(), reading);
                if (answer.statusCode() != AWAY) {
                    return checked(answer);
                }
                pause(pause);
            } catch (IOException error) {
                pause(pause);
            } catch (InterruptedException interrupt) {
                throw interrupted();
            }
        }
        return lastly(making, reading);
    }

    private <T> HttpResponse<T> lastly(Making making, BodyHandler<T> reading) {
        try {
            return checked(http.send(making.make(), reading));
        } catch (IOException error) {
            throw new UncheckedIOException(place.server() + " is not reached: " + Web.worded(error), error);
        } catch (InterruptedException interrupt) {
            throw interrupted();
        }
    }

    static void pause(long milliseconds) {
        try {
            Thread.sleep(milliseconds);
        } catch (InterruptedException interrupt) {
            throw interrupted();
        }
    }

    private static UncheckedIOException interrupted() {
        Thread.currentThread().interrupt();
        return new UncheckedIOException(new InterruptedIOException("interrupted while a server was asked"));
    }

    private static <T> HttpResponse<T> checked(HttpResponse<T> answer) throws IOException {
        if (answer.statusCode() / 100 == 2) {
            return answer;
        }
        String body = answer.body() instanceof InputStream stream ? read(stream) : String.valueOf(answer.body());
        throw Problem.of(answer.statusCode(), body);
    }

    private static String read(InputStream stream) throws IOException {
        try (stream) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private JsonElement json(HttpResponse<String> answer) {
        return parsed(answer.body());
    }

    JsonElement parsed(String body) {
        try {
            return JsonParser.parseString(body);
        } catch (JsonParseException error) {
            throw new UncheckedIOException(new IOException(place.server() + " answers something that is no JSON"));
        }
    }
}
