package procession;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import procession.support.Check;
import procession.support.Program;
import procession.support.RealServer;

/** A worker and a client beside a server and its database. */
public class ServerTest implements AutoCloseable {
    record Order(String id, long cents) {}

    private final RealServer server = RealServer.get();
    private final Client client = server.client();
    private final String action = "a" + UUID.randomUUID().toString().substring(0, 8);
    private final Worker worker = new Worker().url(server.url).token(server.worker).name("java " + action);
    private final CountDownLatch never = new CountDownLatch(1);
    private Thread thread;
    private Process program;

    public ServerTest() throws Exception {}

    @Override
    public void close() throws Exception {
        never.countDown();
        if (program != null) {
            program.destroyForcibly();
        }
        if (thread != null) {
            worker.stop();
            thread.join(60_000);
            Check.that(!thread.isAlive(), "the worker has ended");
        }
    }

    void two_steps_are_served_and_the_output_of_one_is_the_payload_of_the_other() throws Exception {
        worker.register(action + ".1", payload -> "first: " + payload)
                .register(action + ".2", payload -> "second: " + payload);
        start();
        define(task("first", action + ".1", "${{ input.text }}"), task("second", action + ".2", "${{ tasks.first.output }}"));
        Run run = client.start(action, Map.of("text", "hello"), action + "-key");
        Check.equal(client.await(run.id(), Duration.ofMinutes(1)).status(), "COMPLETED");
        Check.equal(output(run, "second"), "second: first: hello");
        Check.equal(client.start(action, Map.of("text", "hello"), action + "-key").id(), run.id());
    }

    void a_chain_is_triggered_once_for_each_key_and_polled_until_it_is_complete() throws Exception {
        worker.register(action + ".1", payload -> "first: " + payload)
                .register(action + ".2", payload -> "second: " + payload);
        start();
        client.defineWorkflow(action, action + ".1", action + ".2");
        String run = client.triggerWorkflow(action, "hello", action + "-key");
        Check.equal(client.triggerWorkflow(action, "hello", action + "-key"), run);
        Check.equal(client.outputText(run), "second: first: hello");
        JsonObject status = client.getRunStatus(run);
        Check.equal(status.get("status").getAsString(), "COMPLETE");
        Check.equal(status.get("finalOutput").getAsString(), "second: first: hello");
    }

    void json_goes_in_and_comes_out_by_polls_too() throws Exception {
        worker.transport(Transport.POLL)
                .register(action, Order.class, order -> new Order(order.id(), order.cents() * 2));
        start();
        define(task("it", action, Map.of("id", "a", "cents", "${{ input.cents }}")));
        Run run = client.start(action, Map.of("cents", 21));
        client.await(run.id());
        Check.equal(task(run, "it").get("output").toString(), "{\"id\":\"a\",\"cents\":42}");
    }

    void a_failure_is_tried_again_with_the_same_key_unless_it_is_for_good() throws Exception {
        ConcurrentLinkedQueue<String> keys = new ConcurrentLinkedQueue<>();
        worker.register(action, (payload, context) -> {
            keys.add(context.key());
            if (context.number() == 1) {
                throw new IllegalStateException("not yet");
            }
            throw Failure.permanent("never");
        });
        start();
        JsonObject retried = task("it", action, null);
        retried.add("retries", Payloads.tree(Payloads.DEFAULT, Map.of("max", 5, "delay", "0s")));
        define(retried);
        Run run = client.start(action);
        Check.equal(client.await(run.id()).status(), "FAILED");
        Check.equal(keys.size(), 2);
        Check.equal(keys.stream().distinct().count(), 1L);
        Check.contains(task(run, "it").get("error").getAsString(), "procession.Failure: never");
    }

    void lines_and_progress_are_seen_while_a_handler_works_and_a_stop_reaches_it() throws Exception {
        worker.register(action, (payload, context) -> {
            context.progress(25, "a quarter");
            context.log("one");
            context.log("zw\u00f6lf");
            never.await();
            return null;
        });
        start();
        define(task("it", action, null));
        Run run = client.start(action);
        List<String> lines = new ArrayList<>();
        client.logs(run.id(), "it", line -> {
            lines.add(line);
            if (lines.size() == 2) {
                client.stop(run.id());
            }
        });
        Check.equal(lines, List.of("one", "zw\u00f6lf"));
        Check.equal(client.await(run.id()).status(), "STOPPED");
        Check.equal(task(run, "it").get("status").getAsString(), "STOPPED");
    }

    void a_timeout_ends_a_handler() throws Exception {
        worker.register(action, payload -> {
            never.await();
            return null;
        });
        start();
        JsonObject quick = task("it", action, null);
        quick.addProperty("timeout", "1s");
        define(quick);
        Run run = client.start(action);
        Check.equal(client.await(run.id()).status(), "FAILED");
        Check.contains(task(run, "it").get("error").getAsString(), "took longer");
    }

    void what_a_killed_worker_had_is_done_by_another() throws Exception {
        program = Program.begin(server, action);
        define(task("it", action, null));
        Run run = client.start(action);
        worker.register(action, (payload, context) -> "attempt " + context.number());
        client.logs(run.id(), "it", line -> {
            program.destroyForcibly();
            start();
        });
        client.await(run.id(), Duration.ofMinutes(1));
        Check.equal(output(run, "it"), "attempt 2");
    }

    void a_worker_that_was_frozen_too_long_gives_up_what_it_had_and_serves_on() throws Exception {
        program = Program.begin(server, action);
        define(task("it", action, null));
        Run first = client.start(action);
        worker.register(action, (payload, context) -> "attempt " + context.number());
        client.logs(first.id(), "it", line -> {
            signal("STOP");
            start();
        });
        Check.equal(client.await(first.id(), Duration.ofMinutes(1)).status(), "COMPLETED");
        worker.stop();
        thread.join(60_000);
        signal("CONT");
        Run second = client.start(action);
        client.logs(second.id(), "it", line -> program.destroy());
        Check.equal(client.await(second.id(), Duration.ofMinutes(1)).status(), "COMPLETED");
        Check.equal(output(first, "it"), "attempt 2");
        Check.equal(output(second, "it"), "ended in good order");
    }

    private void signal(String name) {
        try {
            Check.equal(new ProcessBuilder("kill", "-" + name, "" + program.pid()).start().waitFor(), 0);
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    void a_worker_that_gets_sigterm_finishes_what_it_has() throws Exception {
        program = Program.begin(server, action);
        define(task("it", action, null));
        Run run = client.start(action);
        client.logs(run.id(), "it", line -> program.destroy());
        Check.equal(client.await(run.id(), Duration.ofMinutes(1)).status(), "COMPLETED");
        Check.equal(output(run, "it"), "ended in good order");
        Check.equal(program.waitFor(), 128 + 15);
    }

    void a_token_of_another_role_is_refused_with_the_reason() throws Exception {
        Worker other = new Worker().url(server.url).token(server.admin).register(action, payload -> null);
        Check.contains(Check.raises(Refused.class, () -> {
            other.start();
            return null;
        }).getMessage(), "role");
    }

    private void start() {
        thread = new Thread(worker::start);
        thread.start();
    }

    private void define(JsonObject... tasks) {
        JsonObject type = new JsonObject();
        type.addProperty("name", action);
        type.add("tasks", Payloads.tree(Payloads.DEFAULT, List.of(tasks)));
        for (int place = 1; place < tasks.length; place++) {
            tasks[place].add("needs", Payloads.tree(Payloads.DEFAULT, List.of(name(tasks[place - 1]))));
        }
        type.add("tasks", Payloads.tree(Payloads.DEFAULT, List.of(tasks)));
        client.define(type);
    }

    private static String name(JsonObject task) {
        return task.get("name").getAsString();
    }

    private static JsonObject task(String name, String action, Object payload) {
        JsonObject call = new JsonObject();
        call.addProperty("name", action);
        if (payload != null) {
            call.add("payload", Payloads.tree(Payloads.DEFAULT, payload));
        }
        JsonObject task = new JsonObject();
        task.addProperty("name", name);
        task.add("action", call);
        return task;
    }

    private JsonObject task(Run run, String name) {
        return client.tasks(run.id()).stream()
                .filter(each -> name(each).equals(name))
                .findFirst()
                .orElseThrow();
    }

    private String output(Run run, String task) {
        JsonElement output = task(run, task).get("output");
        return Payloads.text(Payloads.DEFAULT, output);
    }
}
