package procession.protocol;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import procession.support.Check;

public class DeskTest {
    private static final double GRACE = 10;
    private static final String[] SESSIONS = {
        "6f1c2b9e-3d64-4c1f-9a57-0c4a3e9b7d21", "7f1c2b9e-3d64-4c1f-9a57-0c4a3e9b7d22"
    };
    private static final Ending DONE = Ending.succeeded(new JsonPrimitive("done"));
    private static final Ending BROKEN = Ending.failed(new Ending.Fault("E", "no", null), true);

    private final Iterator<String> sessions = Arrays.asList(SESSIONS).iterator();
    private final Desk desk = new Desk(
            new Served("press-1", 2, List.of("step1", "step2"), "java/1", "hall", 7), GRACE, sessions::next);
    private double now = 100;
    private String session = SESSIONS[0];

    // What hello says.

    void hello_comes_first_and_names_what_is_served() throws Exception {
        desk.opened(now);
        JsonObject hello = said().get(0);
        Check.equal(hello.get("type").getAsString(), "hello");
        Check.equal(hello.get("actions").toString(), "[\"step1\",\"step2\"]");
        Check.equal(hello.get("running").toString(), "[]");
    }

    void an_end_is_said_again_with_each_hello_until_it_is_acknowledged() throws Exception {
        open();
        finish(begun("12.1"), DONE);
        Check.equal(types(said()), List.of("ended"));
        Check.equal(said(), List.of());
        reopen();
        List<JsonObject> again = said();
        Check.equal(types(again), List.of("hello", "ended"));
        Check.equal(again.get(0).get("running").toString(), "[\"12.1\"]");
        hear(have("12.1"));
        reopen();
        Check.equal(types(said()), List.of("hello"));
    }

    void what_hello_named_and_is_not_ours_any_more_is_stopped_without_a_word() throws Exception {
        open();
        Order.Begin begin = begun("12.1");
        reopen();
        said();
        Check.equal(hear(welcome("12.1")), List.of(new Order.Cancel(begin.ticket(), FORGOTTEN)));
        finish(begin, DONE);
        Check.equal(said(), List.of());
    }

    // Offers.

    void no_more_begin_than_there_are_slots_and_the_next_when_one_has_ended() throws Exception {
        open();
        List<Order> orders = hear(offer("1.1"), offer("2.1"), offer("3.1"));
        Check.equal(orders.size(), 2);
        desk.finished(ticket(orders.get(0)), DONE);
        List<Order> next = desk.tick(now);
        Check.equal(((Order.Begin) next.get(0)).offer().attempt(), "3.1");
    }

    void an_offer_that_comes_twice_begins_once() throws Exception {
        open();
        Check.equal(hear(offer("1.1")).size(), 1);
        Check.equal(hear(offer("1.1")).size(), 0);
    }

    void an_action_that_is_not_served_is_handed_back() throws Exception {
        open();
        JsonObject other = offer("1.1");
        other.addProperty("action", "step9");
        Check.equal(hear(other), List.of());
        Check.equal(types(said()), List.of("back"));
    }

    void a_workflow_is_handed_back() throws Exception {
        open();
        JsonObject flow = offer("1.1");
        flow.add("workflow", new JsonObject());
        Check.equal(hear(flow), List.of());
        Check.equal(types(said()), List.of("back"));
    }

    void a_handler_that_never_ends_keeps_no_other_from_its_slot_for_ever() throws Exception {
        open();
        hear(offer("1.1"), offer("2.1"));
        hear(forget("1.1"), forget("2.1"));
        Check.equal(hear(offer("3.1"), offer("4.1")).size(), 2);
        hear(forget("3.1"), forget("4.1"));
        Check.equal(hear(offer("5.1")), List.of());
    }

    // Commands.

    void a_stop_cancels_and_what_fails_then_was_stopped() throws Exception {
        open();
        Order.Begin begin = begun("12.1");
        Check.equal(hear(command("12.1", "stop")), List.of(new Order.Cancel(begin.ticket(), "because")));
        Check.equal(hear(command("12.1", "stop")), List.of());
        finish(begin, BROKEN);
        Check.equal(ending(said()), "STOPPED");
    }

    void what_succeeds_although_it_was_stopped_is_told_as_what_it_came_to() throws Exception {
        open();
        Order.Begin begin = begun("12.1");
        hear(command("12.1", "stop"));
        finish(begin, DONE);
        Check.equal(ending(said()), "SUCCEEDED");
    }

    void a_kill_waits_for_nobody() throws Exception {
        open();
        Order.Begin begin = begun("12.1");
        hear(command("12.1", "kill"));
        Check.equal(ending(said()), "STOPPED");
        finish(begin, DONE);
        Check.equal(said(), List.of());
    }

    void what_is_stopped_before_it_begins_never_does() throws Exception {
        open();
        hear(offer("1.1"), offer("2.1"), offer("3.1"));
        hear(command("3.1", "stop"));
        Check.equal(ending(said()), "STOPPED");
    }

    void what_is_held_before_it_begins_waits_and_what_has_begun_is_told() throws Exception {
        open();
        Order.Begin first = (Order.Begin) hear(offer("1.1"), offer("2.1"), offer("3.1")).get(0);
        hear(command("3.1", "hold"));
        desk.finished(first.ticket(), DONE);
        Check.equal(desk.tick(now), List.of());
        Check.equal(hear(command("3.1", "resume")).size(), 1);
        Check.equal(hear(command("3.1", "hold")).get(0) instanceof Order.Hold, true);
    }

    // Time.

    void a_handler_whose_time_is_up_is_cancelled_and_told_as_timed_out() throws Exception {
        open();
        JsonObject offer = offer("1.1");
        offer.addProperty("timeout", 5);
        Order.Begin begin = (Order.Begin) hear(offer).get(0);
        Check.equal(desk.dueToAct(), now + 5);
        Check.equal(desk.tick(now + 4.9), List.of());
        Check.equal(desk.tick(now + 5).size(), 1);
        finish(begin, DONE);
        Check.equal(ending(said()), "TIMED_OUT");
    }

    void a_handler_that_does_not_mind_its_time_is_not_waited_for() throws Exception {
        open();
        JsonObject offer = offer("1.1");
        offer.addProperty("timeout", 5);
        hear(offer);
        desk.tick(now + 5);
        Check.equal(said(), List.of());
        now += 5 + GRACE;
        desk.tick(now);
        Check.contains(types(said()).toString(), "ended");
    }

    void a_handler_that_is_to_stop_is_waited_for_as_long_as_its_grace() throws Exception {
        open();
        JsonObject offer = offer("1.1");
        offer.addProperty("grace", 7);
        hear(offer, offer("2.1"));
        hear(command("1.1", "stop"), command("2.1", "stop"));
        Check.equal(desk.dueToAct(), now + 7);
        now += 7;
        desk.tick(now);
        List<JsonObject> ends = said().stream()
                .filter(each -> each.get("type").getAsString().equals("ended"))
                .toList();
        Check.equal(ends.size(), 1);
        Check.equal(ends.get(0).get("attempt").getAsString(), "1.1");
        Check.equal(ends.get(0).get("ending").getAsString(), "STOPPED");
    }

    void it_lives_is_said_with_every_beat() throws Exception {
        open();
        begun("12.1");
        Check.equal(said(), List.of());
        Check.equal(desk.dueToSay(), now + 5);
        now += 5;
        List<JsonObject> lease = said();
        Check.equal(types(lease), List.of("lease"));
        Check.equal(lease.get(0).get("running").toString(), "[\"12.1\"]");
    }

    void an_asking_carrier_has_something_to_say_at_any_time() throws Exception {
        open();
        desk.askNow();
        Check.equal(types(said()), List.of("lease"));
        Check.equal(said(), List.of());
    }

    // The end of a session.

    void a_fenced_session_says_nothing_more_and_stops_all_it_has() throws Exception {
        open();
        Order.Begin begin = begun("12.1");
        hear(bye(true));
        Check.that(desk.isFenced(), "fenced");
        Check.equal(said(), List.of());
        Check.equal(desk.beginAnew(), List.of(new Order.Cancel(begin.ticket(), FORGOTTEN)));
        session = SESSIONS[1];
        finish(begin, DONE);
        desk.opened(now);
        List<JsonObject> hello = said();
        Check.equal(types(hello), List.of("hello"));
        Check.equal(hello.get(0).get("running").toString(), "[]");
    }

    void what_is_said_to_an_earlier_session_counts_no_more() throws Exception {
        open();
        session = SESSIONS[1];
        Check.equal(hear(offer("1.1")), List.of());
    }

    // The end of the worker.

    void who_drains_hands_back_what_has_not_begun_and_takes_nothing_more() throws Exception {
        open();
        hear(offer("1.1"), offer("2.1"), offer("3.1"));
        desk.drain();
        Check.equal(types(said()), List.of("drain", "back"));
        hear(offer("4.1"));
        Check.equal(types(said()), List.of("back"));
        Check.that(desk.isAtWork(), "1.1 and 2.1 go on");
    }

    void what_was_broken_off_is_not_told_as_a_failure() throws Exception {
        open();
        List<Order> both = hear(offer("1.1"), offer("2.1"));
        desk.drain();
        said();
        Check.equal(desk.cutOff("over").size(), 2);
        desk.finished(ticket(both.get(0)), BROKEN);
        desk.finished(ticket(both.get(1)), DONE);
        List<JsonObject> ends = said();
        Check.equal(types(ends), List.of("ended", "ended"));
        Check.equal(ends.get(0).get("ending").getAsString(), "STOPPED");
        Check.that(!ends.get(0).has("lost"), "it has come to its end");
        Check.equal(ends.get(1).get("ending").getAsString(), "SUCCEEDED");
        Check.that(!desk.isAtWork() && desk.hasNews(), "both are to be acknowledged");
        hear(have("1.1"), have("2.1"));
        desk.leave();
        Check.equal(types(said()), List.of("leave"));
        Check.equal(said(), List.of());
    }

    void what_goes_on_after_it_was_broken_off_is_lost() throws Exception {
        open();
        begun("1.1");
        desk.drain();
        said();
        desk.cutOff("over");
        desk.giveUp();
        desk.leave();
        List<JsonObject> last = said();
        Check.equal(types(last), List.of("ended", "leave"));
        Check.equal(last.get(0).get("ending").getAsString(), "STOPPED");
        Check.that(last.get(0).get("lost").getAsBoolean(), "nobody knows how far it came");
    }

    // What is told besides.

    void of_progress_the_newest_is_said_and_before_the_end() throws Exception {
        open();
        Order.Begin begin = begun("12.1");
        desk.progressed(begin.ticket(), 10.0, null, null, now);
        desk.progressed(begin.ticket(), 20.0, "more", null, now);
        finish(begin, DONE);
        List<JsonObject> said = said();
        Check.equal(types(said), List.of("progress", "ended"));
        Check.equal(said.get(0).get("percent").getAsDouble(), 20.0);
    }

    void lines_of_a_log_travel_together_and_are_counted_in_bytes() throws Exception {
        open();
        Order.Begin begin = begun("12.1");
        desk.printed(begin.ticket(), "zw\u00f6lf\n", now);
        desk.printed(begin.ticket(), "\ud83d\ude00\n", now);
        Check.equal(said(), List.of());
        now += 0.1;
        List<JsonObject> first = said();
        Check.equal(first.get(0).get("text").getAsString(), "zw\u00f6lf\n\ud83d\ude00\n");
        desk.printed(begin.ticket(), "x", now);
        now += 0.1;
        Check.equal(said().get(0).get("offset").getAsLong(), 12L);
    }

    void what_was_printed_last_is_said_again_after_a_cut_with_its_offset() throws Exception {
        open();
        Order.Begin begin = begun("12.1");
        desk.printed(begin.ticket(), "x".repeat(70_000), now);
        now += 0.1;
        Check.equal(types(said()), List.of("log", "log", "log"));
        desk.printed(begin.ticket(), "more", now);
        reopen();
        List<JsonObject> again = said();
        Check.equal(types(again), List.of("hello", "log", "log"));
        Check.equal(again.get(1).get("offset").getAsLong(), 2L * (32 << 10));
        Check.equal(again.get(1).get("text").getAsString(), "x".repeat(70_000 - (64 << 10)));
        Check.equal(again.get(2).get("text").getAsString(), "more");
    }

    void a_log_that_nobody_takes_is_bounded_and_shows_its_gap() throws Exception {
        open();
        Order.Begin begin = begun("12.1");
        for (int count = 0; count < 1_000; count++) {
            desk.printed(begin.ticket(), "x".repeat(1_000), now);
        }
        finish(begin, DONE);
        List<JsonObject> said = said();
        int kept = said.stream()
                .filter(each -> each.has("text"))
                .mapToInt(each -> each.get("text").getAsString().length())
                .sum();
        Check.that(kept > 200_000 && kept <= 256 << 10, kept);
        Check.equal(types(said).get(said.size() - 1), "ended");
    }

    void ends_that_fill_a_frame_come_in_several() throws Exception {
        open();
        List<Order> both = hear(offer("1.1"), offer("2.1"));
        Ending large = Ending.succeeded(numbers(180_000));
        both.forEach(each -> desk.finished(ticket(each), large));
        Check.equal(types(said()), List.of("ended"));
        Check.that(desk.dueToSay() <= now, "there is more");
        Check.equal(types(said()), List.of("ended"));
        Check.equal(said(), List.of());
    }

    void a_result_that_no_frame_can_carry_is_a_failure_for_good() throws Exception {
        open();
        finish(begun("12.1"), Ending.succeeded(numbers(600_000)));
        JsonObject ended = said().get(0);
        Check.equal(ended.get("ending").getAsString(), "FAILED");
        Check.equal(ended.get("retryable").getAsBoolean(), false);
    }

    // Words.

    private static final String FORGOTTEN = "the server has given this attempt to somebody else";

    private void open() throws Exception {
        desk.opened(now);
        said();
        hear(welcome());
    }

    private void reopen() {
        desk.lost();
        desk.opened(now);
    }

    private Order.Begin begun(String attempt) throws Exception {
        return (Order.Begin) hear(offer(attempt)).get(0);
    }

    private void finish(Order.Begin begin, Ending ending) {
        desk.finished(begin.ticket(), ending);
    }

    private static long ticket(Order order) {
        return ((Order.Begin) order).ticket();
    }

    private List<Order> hear(JsonObject... messages) throws BadFrame {
        List<String> texts = Arrays.stream(messages).map(Wire::text).toList();
        return desk.heard(Wire.fromServer(Wire.frame(session, texts)), now);
    }

    /** What it says now, which has to be right. */
    private List<JsonObject> said() throws BadFrame {
        String frame = desk.say(now).orElse(null);
        return frame == null ? List.of() : Wire.fromWorker(frame).messages();
    }

    private static List<String> types(List<JsonObject> messages) {
        return messages.stream().map(each -> each.get("type").getAsString()).toList();
    }

    private static String ending(List<JsonObject> messages) {
        Check.equal(types(messages), List.of("ended"));
        return messages.get(0).get("ending").getAsString();
    }

    private static JsonElement numbers(int count) {
        JsonArray list = new JsonArray();
        for (int each = 0; each < count; each++) {
            list.add(1000 + each % 9000);
        }
        return list;
    }

    private static JsonObject welcome(String... forgotten) {
        JsonObject welcome = Said.of("welcome");
        welcome.addProperty("protocol", 1);
        welcome.addProperty("beat", 5);
        welcome.addProperty("lease", 20);
        welcome.addProperty("clock", 0);
        welcome.addProperty("poll", 1);
        welcome.addProperty("server", "1");
        welcome.add("forget", texts(forgotten));
        return welcome;
    }

    private static JsonObject offer(String attempt) {
        JsonObject offer = of("offer", attempt);
        offer.addProperty("action", "step1");
        offer.addProperty("payload", "hello");
        offer.addProperty("run", "r");
        offer.addProperty("task", "t");
        offer.addProperty("type_name", "n");
        offer.addProperty("number", 1);
        offer.addProperty("key", "k");
        return offer;
    }

    private static JsonObject command(String attempt, String verb) {
        JsonObject command = of("command", attempt);
        command.addProperty("verb", verb);
        command.addProperty("reason", "because");
        return command;
    }

    private static JsonObject have(String attempt) {
        JsonObject have = Said.of("have");
        have.add("attempts", texts(attempt));
        return have;
    }

    private static JsonObject forget(String attempt) {
        return of("forget", attempt);
    }

    private static JsonObject bye(boolean fenced) {
        JsonObject bye = Said.of("bye");
        bye.addProperty("why", "silent");
        bye.addProperty("fenced", fenced);
        return bye;
    }

    private static JsonObject of(String type, String attempt) {
        JsonObject message = Said.of(type);
        message.addProperty("attempt", attempt);
        return message;
    }

    private static JsonArray texts(String... all) {
        JsonArray list = new JsonArray();
        new ArrayList<>(List.of(all)).forEach(list::add);
        return list;
    }
}
