package procession.protocol;

import com.google.gson.JsonObject;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * All that a worker decides: what it has in hand, what it says, what is to begin and to end.
 *
 * <p>It has no clock, no thread and no connection. Moments come in as seconds, and whoever calls it
 * does what it answers. It is not made for several threads.
 */
public final class Desk {
    private static final double SOFT = 0.1; // seconds that progress and logs may wait for company
    private static final int ABANDONED = 2; // times the slots: the most handlers there are at once
    private static final double FIRST_BEAT = 5;

    private final Served served;
    private final Supplier<String> sessions;
    private final double grace;
    private final Map<String, Held> held = new LinkedHashMap<>();
    private final Map<Long, Held> running = new HashMap<>(); // also of those that are not ours any more
    private final Deque<JsonObject> backs = new ArrayDeque<>();
    private String session;
    private long tickets;
    private boolean isConnected;
    private boolean owesHello;
    private boolean isWelcome;
    private boolean isDraining;
    private boolean owesDrain;
    private boolean owesLeave;
    private boolean hasLeft;
    private boolean isFenced;
    private boolean owesFrame; // an empty one answers for a poll
    private String farewell = "";
    private double beat = FIRST_BEAT;
    private double poll = 1;
    private double nextBeat;
    private double softAt = Double.POSITIVE_INFINITY;

    /**
     * @param grace seconds that a handler has to end when its time is up, before its attempt is told
     *     as timed out all the same
     */
    public Desk(Served served, double grace, Supplier<String> sessions) {
        this.served = served;
        this.grace = grace;
        this.sessions = sessions;
        this.session = sessions.get();
    }

    // What happens.

    /** A connection is there: hello comes first, and all ends that nobody has acknowledged. */
    public void opened(double now) {
        isConnected = true;
        isWelcome = false;
        owesHello = true;
        owesDrain = isDraining;
        farewell = "";
        backs.clear(); // hello says it
        for (Held each : held.values()) {
            each.isTold = false;
            each.printed.again();
        }
        softAt = now;
        nextBeat = now + beat;
    }

    public void lost() {
        isConnected = false;
        isWelcome = false;
    }

    public List<Order> heard(Wire.Frame frame, double now) {
        if (!frame.session().equals(session)) {
            return List.of();
        }
        List<Order> orders = new ArrayList<>();
        for (JsonObject each : frame.messages()) {
            Heard message = Heard.of(each);
            if (message != null && !isFenced) {
                hear(message, now, orders);
            }
        }
        begin(now, orders);
        return orders;
    }

    private void hear(Heard message, double now, List<Order> orders) {
        if (message instanceof Heard.Welcome welcome) {
            isWelcome = true;
            beat = Math.max(0.1, welcome.beat());
            poll = Math.max(0.05, welcome.poll());
            nextBeat = Math.min(nextBeat, now + beat);
            welcome.forget().forEach(each -> forget(each, orders));
        } else if (message instanceof Heard.Offer offer) {
            take(offer);
        } else if (message instanceof Heard.Command command) {
            obey(command, now, orders);
        } else if (message instanceof Heard.Have have) {
            have.attempts().forEach(this::acknowledge);
        } else if (message instanceof Heard.Forget forget) {
            forget(forget.attempt(), orders);
        } else if (message instanceof Heard.Bye bye) {
            farewell = bye.why();
            isFenced = bye.fenced();
        }
    }

    private void take(Heard.Offer offer) {
        if (held.containsKey(offer.attempt())) {
            return;
        }
        if (offer.isWorkflow() || !served.actions().contains(offer.action())) {
            backs.add(Said.back(offer.attempt(), "this worker does not serve " + Texts.fitting(offer.action(), 100)));
        } else if (isDraining) {
            backs.add(Said.back(offer.attempt(), "this worker is about to end"));
        } else {
            held.put(offer.attempt(), new Held(offer));
        }
    }

    private void obey(Heard.Command command, double now, List<Order> orders) {
        Held each = held.get(command.attempt());
        if (each == null || each.end != null) {
            return;
        }
        switch (command.verb()) {
            case STOP -> {
                stop(each, command.reason(), orders);
                if (each.isRunning() && each.offer.grace() != null) {
                    each.patience = Math.min(each.patience, now + each.offer.grace());
                }
            }
            case KILL -> {
                stop(each, command.reason(), orders);
                end(each, Ending.stopped(each.reason));
            }
            case HOLD -> hold(each, true, orders);
            case RESUME -> hold(each, false, orders);
        }
    }

    private void stop(Held each, String reason, List<Order> orders) {
        if (!each.isRunning()) {
            end(each, Ending.stopped(reason));
        } else if (each.verdict != Held.Verdict.STOPPED) {
            cancel(each, Held.Verdict.STOPPED, reason, orders);
        }
    }

    private void hold(Held each, boolean isHeld, List<Order> orders) {
        if (each.isHeld != isHeld && each.isRunning()) {
            orders.add(new Order.Hold(each.ticket, isHeld));
        }
        each.isHeld = isHeld;
    }

    private void cancel(Held each, Held.Verdict verdict, String reason, List<Order> orders) {
        each.verdict = verdict;
        each.reason = reason;
        orders.add(new Order.Cancel(each.ticket, reason));
    }

    private void acknowledge(String attempt) {
        Held each = held.get(attempt);
        if (each != null && each.end != null) {
            held.remove(attempt);
        }
    }

    private void forget(String attempt, List<Order> orders) {
        Held each = held.remove(attempt);
        if (each != null && each.isRunning()) {
            orders.add(new Order.Cancel(each.ticket, "the server has given this attempt to somebody else"));
        }
    }

    /** Whether the session is over: others may do what is in hand. */
    public boolean isFenced() {
        return isFenced;
    }

    public void fence() {
        isFenced = true;
    }

    /** Why the server said goodbye; empty if it did not. */
    public String farewell() {
        return farewell;
    }

    /** Another session, with nothing in hand. */
    public List<Order> beginAnew() {
        List<Order> orders = new ArrayList<>();
        List.copyOf(held.keySet()).forEach(each -> forget(each, orders));
        backs.clear();
        session = sessions.get();
        isFenced = false;
        lost();
        return orders;
    }

    /** A handler has come to its end. What may begin in its place does with the next tick. */
    public void finished(long ticket, Ending ending) {
        Held each = running.remove(ticket);
        if (isOurs(each)) {
            conclude(each, ending);
        }
    }

    private void conclude(Held each, Ending ending) {
        boolean succeeded = ending.kind() == Ending.Kind.SUCCEEDED;
        switch (each.verdict) {
            case NONE -> end(each, ending);
            case STOPPED, CUT -> end(each, succeeded ? ending : Ending.stopped(each.reason));
            case TIMED_OUT -> end(each, Ending.timedOut(each.reason));
        }
    }

    private void end(Held each, Ending ending) {
        String attempt = each.offer.attempt();
        try {
            each.end = Wire.own(Said.ended(attempt, ending));
        } catch (BadFrame error) {
            Ending.Fault fault = new Ending.Fault("Unsendable", error.getMessage(), null);
            each.end = Wire.text(Said.ended(attempt, Ending.failed(fault, false)));
        }
    }

    public void printed(long ticket, String text, double now) {
        Held each = running.get(ticket);
        if (isOurs(each)) {
            each.printed.print(text);
            softAt = Math.min(softAt, now + SOFT);
        }
    }

    public void progressed(long ticket, Double percent, String message, JsonObject data, double now)
            throws BadFrame {
        Held each = running.get(ticket);
        if (isOurs(each)) {
            String sound = message == null ? null : Texts.fitting(message, 2_000);
            each.progress = Wire.own(Said.progress(each.offer.attempt(), percent, sound, data));
            softAt = Math.min(softAt, now + SOFT);
        }
    }

    private boolean isOurs(Held each) {
        return each != null && each.end == null && held.get(each.offer.attempt()) == each;
    }

    /** A handler that does not end has a slot, though nobody waits for it; for a while others go on. */
    private void begin(double now, List<Order> orders) {
        long ours = running.values().stream().filter(this::isOurs).count();
        for (Held each : held.values()) {
            if (ours >= served.slots() || running.size() >= ABANDONED * served.slots()) {
                return;
            }
            if (!each.hasBegun() && !each.isHeld) {
                each.ticket = ++tickets;
                running.put(each.ticket, each);
                ours++;
                Double timeout = each.offer.timeout();
                each.deadline = timeout == null ? Double.POSITIVE_INFINITY : now + timeout;
                orders.add(new Order.Begin(each.ticket, each.offer));
            }
        }
    }

    // The end of the worker.

    /** Takes nothing more, and hands back what has not begun. */
    public void drain() {
        if (isDraining) {
            return;
        }
        isDraining = true;
        owesDrain = true;
        for (Held each : List.copyOf(held.values())) {
            if (!each.hasBegun()) {
                held.remove(each.offer.attempt());
                backs.add(Said.back(each.offer.attempt(), "this worker is about to end"));
            }
        }
    }

    /** Those that did not end in time are broken off. */
    public List<Order> cutOff(String reason) {
        List<Order> orders = new ArrayList<>();
        for (Held each : held.values()) {
            if (each.isRunning() && each.verdict == Held.Verdict.NONE) {
                cancel(each, Held.Verdict.CUT, reason, orders);
            }
        }
        return orders;
    }

    /** Nobody waits for what goes on all the same, so nobody will know how far it came. */
    public void giveUp() {
        for (Held each : held.values()) {
            if (each.isRunning()) {
                end(each, Ending.lost(each.reason));
            }
        }
    }

    /** Whether a handler is at work on what is this worker's. */
    public boolean isAtWork() {
        return running.values().stream().anyMatch(this::isOurs);
    }

    /** Whether there are ends that the server has not acknowledged. */
    public boolean hasNews() {
        return held.values().stream().anyMatch(each -> each.end != null);
    }

    public void leave() {
        owesLeave = true;
    }

    public boolean hasLeft() {
        return hasLeft;
    }

    // What time brings.

    /** To be asked after all that happened, too: what waited may begin. */
    public List<Order> tick(double now) {
        List<Order> orders = new ArrayList<>();
        for (Held each : held.values()) {
            if (each.isRunning() && now >= each.deadline) {
                each.deadline = Double.POSITIVE_INFINITY;
                if (each.verdict == Held.Verdict.NONE) {
                    each.patience = now + grace;
                    cancel(each, Held.Verdict.TIMED_OUT, "it took longer than " + each.offer.timeout() + " s", orders);
                }
            }
            if (each.isRunning() && now >= each.patience) {
                boolean isStopped = each.verdict == Held.Verdict.STOPPED;
                end(each, isStopped ? Ending.stopped(each.reason) : Ending.timedOut(each.reason));
            }
        }
        begin(now, orders);
        return orders;
    }

    /** When time brings something to do, if nothing happens before. */
    public double dueToAct() {
        double due = isFenced ? 0 : Double.POSITIVE_INFINITY;
        for (Held each : held.values()) {
            if (each.isRunning()) {
                due = Math.min(due, Math.min(each.deadline, each.patience));
            }
        }
        return due;
    }

    /** When there is something to say to whoever listens. */
    public double dueToSay() {
        if (!isConnected || isFenced || hasLeft) {
            return Double.POSITIVE_INFINITY;
        }
        return isUrgent() ? 0 : Math.min(nextBeat, softAt);
    }

    private boolean isUrgent() {
        return owesHello
                || owesDrain
                || owesFrame
                || owesLeave
                || !backs.isEmpty()
                || held.values().stream().anyMatch(each -> each.end != null && !each.isTold);
    }

    public boolean isWelcome() {
        return isWelcome;
    }

    public double beat() {
        return beat;
    }

    public double poll() {
        return poll;
    }

    // What is said.

    /** For those who ask: the next frame is said even if there is nothing in it but a sign of life. */
    public void askNow() {
        owesFrame = true;
    }

    public Optional<String> say(double now) {
        if (!isConnected || isFenced || hasLeft) {
            return Optional.empty();
        }
        Batch batch = new Batch();
        boolean isSoft = now >= softAt;
        if (owesHello && batch.add(Said.hello(served, held.keySet()))) {
            owesHello = false;
        }
        if (owesDrain && batch.add(Said.of("drain"))) {
            owesDrain = false;
        }
        sayBacks(batch);
        boolean isComplete = sayEnds(batch);
        if (isComplete && (now >= nextBeat || owesFrame) && batch.add(Said.lease(held.keySet()))) {
            nextBeat = now + beat;
            owesFrame = false;
        }
        if (isSoft) {
            softAt = saySoft(batch) ? Double.POSITIVE_INFINITY : now;
        }
        if (owesLeave && isComplete && backs.isEmpty() && batch.add(Said.of("leave"))) {
            hasLeft = true;
        }
        return batch.isEmpty() ? Optional.empty() : Optional.of(batch.frame(session));
    }

    private void sayBacks(Batch batch) {
        while (!backs.isEmpty() && batch.add(backs.peek())) {
            backs.remove();
        }
    }

    /** Of each that has ended, what it printed and its end; false if there was no room for all. */
    private boolean sayEnds(Batch batch) {
        for (Held each : held.values()) {
            if (each.end != null && !each.isTold) {
                if (!sayPrinted(each, batch) || !sayProgress(each, batch) || !batch.add(each.end)) {
                    return false;
                }
                each.isTold = true;
            }
        }
        return true;
    }

    private boolean saySoft(Batch batch) {
        for (Held each : held.values()) {
            if (!sayProgress(each, batch) || !sayPrinted(each, batch)) {
                return false;
            }
        }
        return true;
    }

    private static boolean sayProgress(Held each, Batch batch) {
        if (each.progress == null) {
            return true;
        }
        boolean isSaid = batch.add(each.progress);
        each.progress = isSaid ? null : each.progress;
        return isSaid;
    }

    private static boolean sayPrinted(Held each, Batch batch) {
        while (each.printed.isWaiting()) {
            if (!batch.add(each.printed.next(each.offer.attempt()))) {
                return false;
            }
            each.printed.told();
        }
        return true;
    }
}
