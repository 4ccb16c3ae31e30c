package procession;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import procession.support.Check;

public class ClientTest implements AutoCloseable {
    private record Answer(int status, String body) {}

    private final HttpServer server =
            HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    private final Deque<Answer> answers = new ArrayDeque<>();
    private final List<String> asked = new ArrayList<>();
    private final List<String> keys = new ArrayList<>();
    private final List<String> lastIds = new ArrayList<>();
    private final Client client =
            new Client("http://127.0.0.1:" + server.getAddress().getPort()).token("pn_author");

    ClientTest() throws IOException {
        server.createContext("/", this::answer);
        server.start();
    }

    @Override
    public void close() {
        server.stop(0);
    }

    private synchronized void answer(HttpExchange exchange) throws IOException {
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        asked.add((exchange.getRequestMethod() + " " + exchange.getRequestURI() + " " + body).strip());
        keys.add(String.valueOf(exchange.getRequestHeaders().getFirst("Idempotency-Key")));
        lastIds.add(String.valueOf(exchange.getRequestHeaders().getFirst("Last-Event-ID")));
        Answer answer = answers.remove();
        byte[] bytes = answer.body.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(answer.status, bytes.length == 0 ? -1 : bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }

    void a_chain_is_defined_and_triggered_as_it_always_was() {
        answer(200, "checkout");
        answer(200, "0199-run");
        client.defineWorkflow("checkout", "charge", "invoice");
        Check.equal(client.triggerWorkflow("checkout", "{\"order\": 1}", "order-1"), "0199-run");
        Check.equal(
                asked.get(0),
                "POST /workflow/ {\"id\":\"checkout\",\"steps\":[{\"action\":\"charge\",\"stepIndex\":0},"
                        + "{\"action\":\"invoice\",\"stepIndex\":1}]}");
        Check.equal(asked.get(1), "POST /workflow/checkout/trigger {\"input\":\"{\\\"order\\\": 1}\"}");
        Check.equal(keys.get(1), "order-1");
    }

    void a_server_that_is_away_for_a_moment_is_asked_again_with_the_same_key() {
        answer(503, "");
        answer(201, run("PENDING", "null"));
        Check.equal(client.start("nightly", Map.of("day", "2026-01-31")).status(), "PENDING");
        Check.equal(asked.get(0), "POST /api/v1/runs {\"type\":\"nightly\",\"input\":{\"day\":\"2026-01-31\"}}");
        Check.equal(keys.get(0), keys.get(1));
    }

    void a_refusal_says_field_and_remedy() {
        answer(
                422,
                "{\"detail\": \"'x' is no day\", \"field\": \"input.day\", \"remedy\": \"say it as 2026-01-31\","
                        + " \"faults\": [{\"field\": \"input.day\", \"message\": \"no date\"}]}");
        Problem problem = Check.raises(Problem.class, () -> client.start("nightly"));
        Check.equal(problem.status(), 422);
        Check.equal(problem.field(), "input.day");
        Check.equal(problem.remedy(), "say it as 2026-01-31");
        Check.equal(problem.faults(), List.of("input.day: no date"));
        Check.contains(problem.getMessage(), "say it as");
    }

    void a_refusal_in_no_format_that_is_known_is_one_all_the_same() {
        answer(502, "<html>");
        Check.equal(Check.raises(Problem.class, () -> client.status("r")).status(), 502);
    }

    void who_waits_is_answered_when_the_run_is_over() {
        answer(200, run("IN_PROGRESS", "null"));
        answer(200, run("COMPLETED", "\"done\""));
        Check.equal(client.outputText("r"), "done");
    }

    void a_run_that_failed_has_no_output() {
        answer(200, run("FAILED", "null"));
        RunFailed failed = Check.raises(RunFailed.class, () -> client.output("r"));
        Check.equal(failed.run().status(), "FAILED");
    }

    void who_does_not_want_to_wait_any_longer_is_told_so() {
        answer(200, run("IN_PROGRESS", "null"));
        Check.raises(TimeoutException.class, () -> client.await("r", Duration.ZERO));
    }

    void names_cannot_lead_out_of_their_place_in_an_address() {
        answer(404, "{\"detail\": \"there is no such run\"}");
        Check.raises(Problem.class, () -> client.status("../tokens?x=1"));
        Check.equal(asked.get(0), "GET /api/v1/runs/..%2Ftokens%3Fx%3D1");
    }

    void lists_are_read_to_their_end() {
        answer(200, "{\"items\": [{\"name\": \"a\"}], \"next\": \"c+1\"}");
        answer(200, "{\"items\": [{\"name\": \"b\"}], \"next\": null}");
        Check.equal(client.tasks("r").size(), 2);
        Check.equal(asked.get(1), "GET /api/v1/runs/r/tasks?cursor=c%2B1");
    }

    void lines_of_all_attempts_are_told_one_after_the_other_whatever_becomes_of_the_connection() {
        answer(200, "{\"attempt\": 2, \"status\": \"IN_PROGRESS\"}");
        answer(200, printed(4, "one\nt") + ": still there\n\n");
        answer(200, printed(9, "wo\nz\u00f6") + "id: 9\nevent: gap\ndata: {\"offset\": 9, \"missing\": 7}\n\n" + END);
        answer(200, "{\"attempt\": 2, \"status\": \"IN_PROGRESS\"}");
        answer(204, "");
        answer(200, "{\"attempt\": 2, \"status\": \"COMPLETED\"}");
        answer(200, "{\"attempt\": 2, \"status\": \"COMPLETED\"}");
        List<String> lines = new ArrayList<>();
        client.logs("r", "it", lines::add);
        Check.equal(lines, List.of("one", "two", "\u2026 7 bytes are not kept \u2026", "z\u00f6"));
        Check.equal(lastIds.get(2), "4");
    }

    private static final String END = "event: end\ndata: {}\n\n";

    private static String printed(int id, String text) {
        String data = Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
        return "id: " + id + "\nevent: out\ndata: {\"offset\": 0, \"data\": \"" + data + "\"}\n\n";
    }

    void a_server_that_is_not_there_is_said_to_be_away() {
        server.stop(0);
        Check.contains(
                Check.raises(UncheckedIOException.class, () -> client.status("r")).getMessage(), "is not reached");
    }

    private void answer(int status, String body) {
        answers.add(new Answer(status, body));
    }

    private static String run(String status, String output) {
        return "{\"id\": \"r\", \"type\": \"nightly\", \"status\": \"" + status + "\", \"output\": " + output + "}";
    }
}
