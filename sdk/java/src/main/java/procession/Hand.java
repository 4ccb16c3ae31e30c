package procession;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executor;
import procession.protocol.Ending;
import procession.protocol.Heard.Offer;

/** One handler at work. */
final class Hand implements Context {
    /** Whom it tells what it comes to; from any thread. */
    interface Ear {
        void finished(Ending ending);

        void printed(String text);

        void progressed(double percent, String message, JsonObject data);
    }

    private final Offer offer;
    private final Action<?> action;
    private final Gson gson;
    private final Ear ear;
    private final Executor others;
    private final List<Runnable> onCancel = new ArrayList<>();
    private Thread thread;
    private boolean isCancelled;
    private String reason = "";
    private boolean isHeld;

    Hand(Offer offer, Action<?> action, Gson gson, Ear ear, Executor others) {
        this.offer = offer;
        this.action = action;
        this.gson = gson;
        this.ear = ear;
        this.others = others;
    }

    void work() {
        begin();
        Ending ending;
        try {
            ending = action.carryOut(gson, offer.payload(), this);
        } finally {
            end();
        }
        ear.finished(ending);
    }

    private synchronized void begin() {
        thread = Thread.currentThread();
        if (isCancelled) {
            thread.interrupt();
        }
    }

    /** Whoever has this thread next is not to be interrupted for what this one has done. */
    private synchronized void end() {
        thread = null;
        Thread.interrupted();
    }

    synchronized void cancel(String why) {
        if (thread != null) {
            thread.interrupt();
        }
        if (isCancelled) {
            return;
        }
        isCancelled = true;
        reason = why;
        onCancel.forEach(others::execute);
        notifyAll();
    }

    synchronized void hold(boolean held) {
        isHeld = held;
        notifyAll();
    }

    @Override
    public String attempt() {
        return offer.attempt();
    }

    @Override
    public int number() {
        return offer.number();
    }

    @Override
    public String key() {
        return offer.key();
    }

    @Override
    public String run() {
        return offer.run();
    }

    @Override
    public String task() {
        return offer.task();
    }

    @Override
    public String type() {
        return offer.typeName();
    }

    @Override
    public Optional<Duration> timeout() {
        return Optional.ofNullable(offer.timeout()).map(each -> Duration.ofMillis(Math.round(each * 1_000)));
    }

    @Override
    public synchronized boolean isCancelled() {
        return isCancelled;
    }

    @Override
    public synchronized String reason() {
        return reason;
    }

    @Override
    public synchronized void onCancel(Runnable call) {
        if (isCancelled) {
            others.execute(call);
        } else {
            onCancel.add(call);
        }
    }

    @Override
    public synchronized boolean isHeld() {
        return isHeld;
    }

    @Override
    public synchronized void awaitResume() throws InterruptedException {
        while (isHeld && !isCancelled) {
            wait();
        }
    }

    @Override
    public void progress(double percent) {
        progress(percent, null, null);
    }

    @Override
    public void progress(double percent, String message) {
        progress(percent, message, null);
    }

    @Override
    public void progress(double percent, String message, Object data) {
        if (!(percent >= 0 && percent <= 100)) {
            throw new IllegalArgumentException("progress is from 0 to 100, not " + percent);
        }
        JsonElement told = data == null ? null : gson.toJsonTree(data);
        if (told != null && !told.isJsonObject()) {
            throw new IllegalArgumentException("the data of progress is an object, not " + told);
        }
        ear.progressed(percent, message, told == null ? null : told.getAsJsonObject());
    }

    @Override
    public void log(String line) {
        ear.printed(line + "\n");
    }
}
