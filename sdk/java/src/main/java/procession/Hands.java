package procession;

import com.google.gson.Gson;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongFunction;
import procession.protocol.Heard.Offer;
import procession.protocol.Order;

/** The handlers at work, each in a thread. */
final class Hands {
    private final Map<String, Action<?>> actions;
    private final Gson gson;
    private final LongFunction<Hand.Ear> ears;
    private final Map<Long, Hand> working = new HashMap<>();
    private final ExecutorService threads = Executors.newCachedThreadPool(named());

    Hands(Map<String, Action<?>> actions, Gson gson, LongFunction<Hand.Ear> ears) {
        this.actions = actions;
        this.gson = gson;
        this.ears = ears;
    }

    /** They keep no program from its end: whoever started the worker waits for it. */
    private static ThreadFactory named() {
        AtomicInteger made = new AtomicInteger();
        return work -> {
            Thread thread = new Thread(work, "procession-handler-" + made.incrementAndGet());
            thread.setDaemon(true);
            return thread;
        };
    }

    void carryOut(Order order) {
        if (order instanceof Order.Begin begin) {
            begin(begin.ticket(), begin.offer());
        } else if (order instanceof Order.Cancel cancel) {
            Hand hand = working.get(cancel.ticket());
            if (hand != null) {
                hand.cancel(cancel.reason());
            }
        } else if (order instanceof Order.Hold hold) {
            Hand hand = working.get(hold.ticket());
            if (hand != null) {
                hand.hold(hold.isHeld());
            }
        }
    }

    private void begin(long ticket, Offer offer) {
        Hand hand = new Hand(offer, actions.get(offer.action()), gson, ears.apply(ticket), threads);
        working.put(ticket, hand);
        threads.execute(hand::work);
    }

    void finished(long ticket) {
        working.remove(ticket);
    }

    /** Nobody waits for those that are still at work. */
    void end(String reason) {
        working.values().forEach(each -> each.cancel(reason));
        threads.shutdown();
    }
}
