package procession;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import procession.support.Check;
import procession.support.FakeServer;
import procession.support.FakeServer.Told;

/** A worker and its carriers, with somebody at the other end of the wire who does what a test wants. */
public class WorkerTest implements AutoCloseable {
    record Order(String id, long cents) {}

    private final FakeServer server = new FakeServer();
    private final Worker worker = new Worker().url(server.url()).token("pn_worker").grace(Duration.ofSeconds(20));
    private final AtomicReference<Throwable> ending = new AtomicReference<>();
    private final CountDownLatch never = new CountDownLatch(1);
    private Thread thread;

    WorkerTest() throws IOException {}

    @Override
    public void close() throws Exception {
        never.countDown();
        if (thread != null) {
            for (int times = 0; times < 3; times++) {
                worker.stop();
            }
            thread.join(60_000);
        }
        server.close();
    }

    void a_text_goes_in_and_a_text_comes_out() throws Exception {
        worker.register("step1", payload -> "done: " + payload);
        start();
        server.offer("12.1", "step1", new JsonPrimitive("hello"));
        Told ended = server.next("ended");
        Check.equal(ended.text("ending"), "SUCCEEDED");
        Check.equal(ended.text("output"), "done: hello");
        Check.equal(server.authorizations.peek(), "Bearer pn_worker");
    }

    void json_goes_in_and_comes_out() throws Exception {
        worker.register("charge", Order.class, order -> new Order(order.id(), order.cents() * 2));
        start();
        server.offer("12.1", "charge", JsonParser.parseString("{\"id\": \"a\", \"cents\": 21}"));
        JsonElement output = server.next("ended").message().get("output");
        Check.equal(output, JsonParser.parseString("{\"id\":\"a\",\"cents\":42}"));
    }

    void a_handler_knows_its_attempt_and_tells_how_far_it_is() throws Exception {
        worker.register("step1", (payload, context) -> {
            context.progress(50, "half", java.util.Map.of("rows", 3));
            context.log("a line");
            return context.attempt() + " " + context.number() + " " + context.key() + " " + context.task();
        });
        start();
        server.offer("12.1", "step1", JsonNull.INSTANCE);
        JsonObject log = server.next("log").message();
        Check.equal(log.get("text").getAsString(), "a line\n");
        JsonObject progress = server.next("progress").message();
        Check.equal(progress.get("data").toString(), "{\"rows\":3}");
        Check.equal(server.next("ended").text("output"), "12.1 1 12:1 it");
    }

    void an_exception_is_a_failure_and_says_whether_it_may_be_tried_again() throws Exception {
        worker.register("step1", payload -> {
            throw payload == null ? Failure.permanent("no") : new IllegalStateException("not now");
        });
        start();
        server.offer("12.1", "step1", JsonNull.INSTANCE);
        JsonObject first = server.next("ended").message();
        Check.equal(first.get("ending").getAsString(), "FAILED");
        Check.equal(first.get("retryable").getAsBoolean(), false);
        server.offer("13.1", "step1", new JsonPrimitive("x"));
        JsonObject second = server.next("ended").message();
        Check.equal(second.get("retryable").getAsBoolean(), true);
        Check.equal(second.getAsJsonObject("error").get("type").getAsString(), "java.lang.IllegalStateException");
        Check.equal(second.getAsJsonObject("error").get("message").getAsString(), "not now");
    }

    void a_stop_interrupts_the_handler_and_calls_those_who_wait_for_it() throws Exception {
        CountDownLatch called = new CountDownLatch(1);
        worker.register("step1", (payload, context) -> {
            context.onCancel(called::countDown);
            context.log("begun");
            never.await();
            return null;
        });
        start();
        server.offer("12.1", "step1", JsonNull.INSTANCE);
        server.next("log");
        server.command("12.1", "stop");
        Told ended = server.next("ended");
        Check.equal(ended.text("ending"), "STOPPED");
        called.await();
    }

    void time_is_up_for_a_handler_that_takes_too_long() throws Exception {
        worker.register("step1", payload -> {
            never.await();
            return null;
        });
        start();
        server.offer("12.1", "step1", JsonNull.INSTANCE, 0.05);
        Check.equal(server.next("ended").text("ending"), "TIMED_OUT");
    }

    void a_handler_may_wait_while_its_run_is_held() throws Exception {
        worker.register("step1", (payload, context) -> {
            context.log("begun");
            Check.until(context::isHeld);
            context.log("held");
            context.awaitResume();
            return "went on";
        });
        start();
        server.offer("12.1", "step1", JsonNull.INSTANCE);
        server.next("log");
        server.command("12.1", "hold");
        server.next("log");
        server.command("12.1", "resume");
        Check.equal(server.next("ended").text("output"), "went on");
    }

    void an_end_that_was_not_acknowledged_is_said_again_on_the_next_connection() throws Exception {
        worker.register("step1", payload -> "once");
        start();
        server.offer("12.1", "step1", JsonNull.INSTANCE);
        Told first = server.next("ended");
        server.drop();
        Told hello = server.next("hello");
        Check.equal(hello.message().get("running").toString(), "[\"12.1\"]");
        Check.equal(hello.session(), first.session());
        Check.equal(server.next("ended").message(), first.message());
        server.have("12.1");
        server.end(1013, "the database does not answer");
        Check.equal(server.next("hello").message().get("running").toString(), "[]");
    }

    void a_handler_goes_on_while_there_is_no_connection() throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        worker.register("step1", (payload, context) -> {
            context.log("begun");
            go.await();
            return "done";
        });
        start();
        server.offer("12.1", "step1", JsonNull.INSTANCE);
        server.next("log");
        server.drop();
        go.countDown();
        Check.equal(server.next("hello").message().get("running").toString(), "[\"12.1\"]");
        Check.equal(server.next("ended").text("output"), "done");
    }

    void who_is_fenced_stops_everything_and_begins_again_as_somebody_else() throws Exception {
        CountDownLatch stopped = new CountDownLatch(1);
        worker.register("step1", (payload, context) -> {
            context.log("begun");
            try {
                never.await();
            } catch (InterruptedException interrupt) {
                stopped.countDown();
            }
            return "too late";
        });
        Told before = start();
        server.offer("12.1", "step1", JsonNull.INSTANCE);
        server.next("log");
        server.bye(true);
        stopped.await();
        Told hello = server.next();
        Check.equal(hello.type(), "hello");
        Check.that(!hello.session().equals(before.session()), "another session");
        Check.equal(hello.message().get("running").toString(), "[]");
        server.offer("13.1", "step1", JsonNull.INSTANCE);
        Check.equal(server.next().type(), "log");
    }

    void who_is_stopped_finishes_what_it_has_and_leaves() throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        worker.slots(1).register("step1", (payload, context) -> {
            context.log("begun");
            go.await();
            return "done";
        });
        start();
        server.offer("12.1", "step1", JsonNull.INSTANCE);
        server.offer("13.1", "step1", JsonNull.INSTANCE);
        server.next("log");
        worker.stop();
        Check.equal(server.next("drain").type(), "drain");
        Check.equal(server.next().text("attempt"), "13.1");
        go.countDown();
        Check.equal(server.next("ended").text("output"), "done");
        server.have("12.1");
        Check.equal(server.next().type(), "leave");
        thread.join(60_000);
        Check.that(!thread.isAlive(), "start has come to its end");
    }

    void what_outlives_the_grace_is_broken_off_and_not_told_as_a_failure() throws Exception {
        worker.grace(Duration.ZERO).register("step1", (payload, context) -> {
            context.log("begun");
            never.await();
            return null;
        });
        start();
        server.offer("12.1", "step1", JsonNull.INSTANCE);
        server.next("log");
        worker.stop();
        Check.equal(server.next().type(), "drain");
        Check.equal(server.next("ended").text("ending"), "STOPPED");
        server.have("12.1");
        server.next("leave");
        thread.join(60_000);
        Check.that(!thread.isAlive(), "start has come to its end");
    }

    void an_interrupt_is_another_way_to_ask_for_the_end() throws Exception {
        worker.register("step1", payload -> null);
        start();
        thread.interrupt();
        server.next("leave");
        thread.join(60_000);
        Check.that(!thread.isAlive(), "start has come to its end");
    }

    void where_no_stream_gets_through_frames_are_polled() throws Exception {
        server.refusesStreams = 404;
        worker.register("step1", payload -> "polled " + payload);
        start();
        server.offer("12.1", "step1", new JsonPrimitive("x"));
        Check.equal(server.next("ended").text("output"), "polled x");
        server.have("12.1");
        worker.stop();
        Check.equal(server.next("leave").type(), "leave");
    }

    void a_poll_that_failed_is_followed_by_one_with_a_hello() throws Exception {
        worker.transport(Transport.POLL).register("step1", payload -> "done");
        start();
        server.refusesPolls = 503;
        int before = server.authorizations.size();
        Check.until(() -> server.authorizations.size() > before + 1);
        server.refusesPolls = 0;
        Check.equal(server.next("hello").message().get("running").toString(), "[]");
    }

    void a_poll_that_is_answered_with_goodbye_is_followed_by_one_with_a_hello() throws Exception {
        worker.transport(Transport.POLL).register("step1", payload -> "done");
        Told before = start();
        server.bye(false);
        Check.equal(server.next("hello").session(), before.session());
    }

    void a_token_that_is_not_known_ends_the_worker_with_the_reason() throws Exception {
        server.refusesStreams = 401;
        worker.register("step1", payload -> null);
        begin();
        thread.join(60_000);
        Check.that(ending.get() instanceof Refused, ending.get());
        Check.contains(ending.get().getMessage(), "token");
    }

    void a_token_that_is_revoked_ends_the_worker_with_the_reason() throws Exception {
        worker.register("step1", payload -> null);
        start();
        server.end(4401, "this token was revoked");
        thread.join(60_000);
        Check.contains(ending.get().getMessage(), "revoked");
    }

    void a_frame_that_is_none_ends_the_connection_and_not_the_worker() throws Exception {
        worker.register("step1", payload -> "done");
        start();
        server.say("{\"session\": 1}");
        server.next("hello");
        server.offer("12.1", "step1", JsonNull.INSTANCE);
        Check.equal(server.next("ended").text("output"), "done");
    }

    void a_large_payload_and_a_large_output_travel() throws Exception {
        worker.register("step1", payload -> payload + payload);
        start();
        String text = "\u00e4".repeat(100_000);
        server.offer("12.1", "step1", new JsonPrimitive(text));
        Check.equal(server.next("ended").text("output").length(), 200_000);
    }

    void what_makes_no_sense_is_refused_before_the_start() {
        Check.raises(IllegalArgumentException.class, () -> worker.slots(0));
        Check.raises(IllegalArgumentException.class, () -> worker.name("a\nb"));
        Check.raises(IllegalArgumentException.class, () -> worker.register("Step 1", payload -> null));
        worker.register("step1", payload -> null);
        Check.raises(IllegalArgumentException.class, () -> worker.register("step1", payload -> null));
    }

    /** Begins, and waits for hello. */
    private Told start() throws Exception {
        begin();
        return server.next("hello");
    }

    private void begin() {
        thread = new Thread(() -> {
            try {
                worker.start();
            } catch (Throwable error) {
                ending.set(error);
            }
        });
        thread.start();
    }
}
