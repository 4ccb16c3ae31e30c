package procession;

import java.time.Duration;
import java.util.Optional;

/** What a handler knows of its attempt, and what it may tell while it works. */
public interface Context {
    /** Names this attempt of the task; no other is ever called the same. */
    String attempt();

    /** Which attempt of the task it is: 1 is the first. */
    int number();

    /** The same for every attempt of this task in its round: for effects that may happen only once. */
    String key();

    /** The id of the run. */
    String run();

    /** The name of the task. */
    String task();

    /** The process type of the run. */
    String type();

    /** How long the task may take. */
    Optional<Duration> timeout();

    /**
     * Whether the end of this attempt is wanted: its run was stopped, its time is up, it was given to
     * somebody else, or this program ends. The thread of the handler is interrupted as well.
     */
    boolean isCancelled();

    /** Why it is cancelled; empty while it is not. */
    String reason();

    /** Calls this once when it is cancelled, in another thread; at once if it is already. */
    void onCancel(Runnable action);

    /** Whether somebody holds the run. What has begun may go on; a long handler can wait. */
    boolean isHeld();

    /** Waits while the run is held. */
    void awaitResume() throws InterruptedException;

    /** How much is done, from 0 to 100. */
    void progress(double percent);

    /** How much is done, from 0 to 100, and in words. */
    void progress(double percent, String message);

    /** Also with data, which becomes a JSON object. */
    void progress(double percent, String message, Object data);

    /** A line of the task's log. */
    void log(String line);
}
