package procession.carriers;

import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/** Frames by HTTP: a request sends all that waits here and gets all that waits there. */
public final class Poll implements Carrier {
    private static final Duration ANSWER = Duration.ofSeconds(30);

    private final Web web;
    private volatile boolean isOver;
    private Ear ear;

    public Poll(Web web) {
        this.web = web;
    }

    @Override
    public void open(Ear whose) {
        ear = whose;
        ear.opened();
    }

    @Override
    public void send(String frame) {
        HttpRequest asking = web.request("/api/v1/workers/sync")
                .timeout(ANSWER)
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(frame))
                .build();
        web.http()
                .sendAsync(asking, BodyHandlers.ofString(StandardCharsets.UTF_8))
                .whenComplete(this::answered);
    }

    private void answered(HttpResponse<String> answer, Throwable error) {
        if (isOver) {
            return;
        }
        if (error != null) {
            end(Loss.again(Web.worded(error)));
        } else if (answer.statusCode() == 200) {
            ear.heard(answer.body());
            ear.sent();
        } else {
            end(refusal(answer.statusCode(), Problems.detail(answer.body())));
        }
    }

    private static Loss refusal(int status, String detail) {
        String why = "the server answers " + status + (detail.isEmpty() ? "" : ": " + detail);
        return switch (status) {
            case 401, 403 -> new Loss(Loss.Kind.REFUSED, why);
            default -> Loss.again(why);
        };
    }

    private void end(Loss loss) {
        isOver = true;
        ear.lost(loss);
    }

    @Override
    public void knock() {
        // A request that is not answered is a loss by itself.
    }

    @Override
    public boolean isAsking() {
        return true;
    }

    @Override
    public void close() {
        isOver = true;
    }
}
