package procession;

import com.google.gson.JsonObject;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.List;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import procession.carriers.Carrier;
import procession.carriers.Carrier.Loss;
import procession.carriers.Poll;
import procession.carriers.Stream;
import procession.protocol.Backoff;
import procession.protocol.BadFrame;
import procession.protocol.Desk;
import procession.protocol.Ending;
import procession.protocol.Order;
import procession.protocol.Wire;

/**
 * The life of a worker, in one thread: what happens elsewhere comes in by a queue, the desk decides,
 * and what it decides is done here.
 */
final class Loop implements Line.Owner {
    private static final Logger LOG = System.getLogger("procession.Worker");
    private static final double PATIENCE = 10; // seconds a handler has to end when its time is up
    private static final double CLEANING = 5; // seconds it has to end when the worker does
    private static final double LEAVING = 3; // seconds for the last words
    private static final double LONGEST = 60; // seconds of a pause
    private static final double STEADY = 5; // seconds after which a connection was a good one
    private static final double STREAM_AGAIN = 300; // seconds of polls, before a stream is tried again

    private final Setup setup;
    private final Desk desk;
    private final Hands hands;
    private final Pace pace = new Pace();
    private final Backoff backoff = new Backoff(new SplittableRandom());
    private final BlockingQueue<Runnable> happened = new LinkedBlockingQueue<>();
    private Line line;
    private double comeBackAt;
    private boolean isBlocked; // no stream gets through
    private String why = "";
    private Refused refused;
    private boolean isOver;
    private boolean wasInterrupted;

    private boolean isStopping;
    private int asked;
    private boolean isCut;
    private double cutAt = Double.POSITIVE_INFINITY;
    private double leaveAt = Double.POSITIVE_INFINITY;
    private double goneAt = Double.POSITIVE_INFINITY;

    Loop(Setup setup) {
        this.setup = setup;
        this.desk = new Desk(setup.served(), PATIENCE, () -> UUID.randomUUID().toString());
        this.hands = new Hands(setup.actions(), setup.gson(), this::ear);
    }

    void run() {
        if (!setup.web().isPrivate()) {
            LOG.log(Level.WARNING, "the token goes to {0} without TLS", setup.server());
        }
        comeBackAt = Clock.now();
        try {
            while (!isOver) {
                await();
                turn(Clock.now());
            }
        } finally {
            if (line != null) {
                line.carrier.close();
            }
            hands.end("the worker has ended");
        }
        if (refused != null) {
            throw refused;
        }
    }

    /** From any thread. */
    void stop() {
        happened(this::beginToStop);
    }

    /** Whether it was interrupted, which is another way to ask for its end. */
    boolean wasInterrupted() {
        return wasInterrupted;
    }

    private void await() {
        long pause = (long) (Math.max(0, Math.min(nextTurn() - Clock.now(), LONGEST)) * 1e9);
        try {
            Runnable next = happened.poll(pause, TimeUnit.NANOSECONDS);
            while (next != null) {
                next.run();
                next = happened.poll();
            }
        } catch (InterruptedException interrupt) {
            wasInterrupted = true;
            beginToStop();
        }
    }

    private double nextTurn() {
        double next = Math.min(desk.dueToAct(), Math.min(cutAt, Math.min(leaveAt, goneAt)));
        if (line == null) {
            return Math.min(next, comeBackAt);
        }
        next = Math.min(next, line.watchAgain(desk.beat()));
        if (line.isReady()) {
            next = Math.min(next, Math.max(pace.next(), Math.min(desk.dueToSay(), askAt())));
        }
        return next;
    }

    private double askAt() {
        return line.carrier.isAsking() ? line.sentAt() + desk.poll() : Double.POSITIVE_INFINITY;
    }

    private void turn(double now) {
        if (desk.isFenced()) {
            beginAnew();
        }
        carryOut(desk.tick(now));
        if (isStopping) {
            comeToAnEnd(now);
        }
        if (line == null && now >= comeBackAt && !isOver) {
            connect();
        }
        if (line != null) {
            keep(now);
        }
    }

    private void keep(double now) {
        if (!line.watch(now, desk.beat())) {
            lost(Loss.again("nothing was heard for a long time"));
        } else if (line.isReady()) {
            preferStream(now);
            speak(now);
        }
    }

    private void speak(double now) {
        if (line == null || now < pace.next()) {
            return;
        }
        if (now >= askAt()) {
            desk.askNow();
        }
        desk.say(now).ifPresent(frame -> {
            pace.spoke(now);
            line.send(frame, now);
        });
    }

    // Connections.

    private void connect() {
        boolean isPoll = setup.transport() == Transport.POLL || (setup.transport() == Transport.AUTO && isBlocked);
        try {
            Carrier carrier = isPoll ? new Poll(setup.web()) : new Stream(setup.web());
            line = new Line(carrier, this);
            carrier.open(line);
        } catch (RuntimeException error) { // the token's file may be away for a moment
            lost(Loss.again(error.getMessage()));
        }
    }

    /** What kept streams out may be gone. */
    private void preferStream(double now) {
        if (setup.transport() == Transport.AUTO && isBlocked && line.age(now) > STREAM_AGAIN) {
            isBlocked = false;
            line.carrier.close();
            line = null;
            desk.lost();
            comeBackAt = now;
        }
    }

    @Override
    public void happened(Runnable what) {
        happened.add(what);
    }

    @Override
    public boolean isCurrent(Line which) {
        return line == which;
    }

    @Override
    public void opened() {
        desk.opened(Clock.now());
    }

    @Override
    public void heard(String frame) {
        boolean wasWelcome = desk.isWelcome();
        try {
            carryOut(desk.heard(Wire.fromServer(frame), Clock.now()));
        } catch (BadFrame error) {
            lost(Loss.again("the server said what is no frame: " + error.getMessage()));
            return;
        }
        if (line.carrier.isAsking() && !desk.farewell().isEmpty() && !desk.isFenced() && !desk.hasLeft()) {
            lost(Loss.again(desk.farewell())); // a stream would be closed now
            return;
        }
        if (!wasWelcome && desk.isWelcome()) {
            why = "";
            LOG.log(Level.INFO, "{0} serves {1} for {2}", setup.served().name(), actions(), setup.server());
        }
    }

    private String actions() {
        return String.join(", ", setup.served().actions());
    }

    @Override
    public void lost(Loss loss) {
        double now = Clock.now();
        if (line != null && line.age(now) > STEADY && desk.isWelcome()) {
            backoff.succeeded();
        }
        boolean wasPoll = line != null && line.carrier.isAsking();
        if (line != null) {
            line.carrier.close();
        }
        line = null;
        desk.lost();
        isBlocked = loss.kind() == Loss.Kind.BLOCKED && !wasPoll;
        comeBackAt = now + backoff.next();
        heed(loss);
    }

    private void heed(Loss loss) {
        String told = desk.farewell().isEmpty() ? loss.why() : desk.farewell();
        switch (loss.kind()) {
            case REFUSED -> {
                refused = new Refused(setup.server() + " refuses this worker: " + told);
                isOver = true;
            }
            case FENCED -> desk.fence();
            default -> {}
        }
        if (!told.equals(why) && !isStopping) {
            why = told;
            LOG.log(Level.WARNING, "{0} is not connected with {1}: {2}", setup.served().name(), setup.server(), told);
        }
    }

    /** Others may do what is in hand: all of it is stopped, and another session begins. */
    private void beginAnew() {
        LOG.log(Level.WARNING, "the session is over ({0}): what was in hand is stopped", desk.farewell());
        carryOut(desk.beginAnew());
        if (line != null) {
            line.carrier.close();
            line = null;
            comeBackAt = Clock.now() + backoff.next();
        }
    }

    // Handlers.

    private void carryOut(List<Order> orders) {
        orders.forEach(hands::carryOut);
    }

    private Hand.Ear ear(long ticket) {
        return new Hand.Ear() {
            @Override
            public void finished(Ending ending) {
                happened(() -> {
                    hands.finished(ticket);
                    desk.finished(ticket, ending);
                });
            }

            @Override
            public void printed(String text) {
                happened(() -> desk.printed(ticket, text, Clock.now()));
            }

            @Override
            public void progressed(double percent, String message, JsonObject data) {
                happened(() -> tell(ticket, percent, message, data));
            }
        };
    }

    private void tell(long ticket, double percent, String message, JsonObject data) {
        try {
            desk.progressed(ticket, percent, message, data, Clock.now());
        } catch (BadFrame error) {
            LOG.log(Level.WARNING, "progress was not told: {0}", error.getMessage());
        }
    }

    // The end.

    /** Asked once, what is in hand has its grace; asked twice, none; asked again, nobody waits for it. */
    private void beginToStop() {
        double now = Clock.now();
        asked++;
        cutAt = asked == 1 ? now + setup.grace() : now;
        leaveAt = asked > 2 ? now : leaveAt;
        isStopping = true;
        desk.drain();
    }

    private void comeToAnEnd(double now) {
        boolean isDone = !desk.isAtWork() && !desk.hasNews();
        if (!isCut && !isDone && now >= cutAt) {
            isCut = true;
            carryOut(desk.cutOff("the worker is about to end"));
            leaveAt = Math.min(leaveAt, now + CLEANING);
        }
        if (goneAt == Double.POSITIVE_INFINITY && (isDone || now >= leaveAt)) {
            leaveAt = Double.POSITIVE_INFINITY;
            desk.giveUp();
            desk.leave();
            goneAt = now + LEAVING;
        }
        if (isCut || goneAt < Double.POSITIVE_INFINITY) {
            cutAt = Double.POSITIVE_INFINITY;
        }
        boolean hasSaidAll = desk.hasLeft() && (line == null || line.isReady());
        boolean isAlone = goneAt < Double.POSITIVE_INFINITY && (line == null || !line.isOpen());
        if (hasSaidAll || isAlone || now >= goneAt) {
            isOver = true;
        }
    }
}
