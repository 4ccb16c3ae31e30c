package procession.protocol;

import static procession.protocol.Shape.any;
import static procession.protocol.Shape.flag;
import static procession.protocol.Shape.list;
import static procession.protocol.Shape.mapping;
import static procession.protocol.Shape.may;
import static procession.protocol.Shape.need;
import static procession.protocol.Shape.number;
import static procession.protocol.Shape.object;
import static procession.protocol.Shape.oneOf;
import static procession.protocol.Shape.spare;
import static procession.protocol.Shape.text;
import static procession.protocol.Shape.whole;

import java.util.Map;
import java.util.regex.Pattern;

/** Every message of the protocol, also those of workflows, which a worker in Java never gets. */
final class Shapes {
    static final Pattern SERVED = Pattern.compile("[a-z0-9][a-z0-9._-]{0,62}");
    static final String SERVED_RULE =
            "a name is 1 to 63 of a-z, 0-9, '.', '-' and '_', and begins with a letter or digit";
    static final Pattern WORKER = Pattern.compile("[!-~]([ -~]{0,98}[!-~])?");
    static final String WORKER_RULE = "a worker's name is 1 to 100 printable ASCII characters";

    static final Shape SESSION = text(
            Pattern.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "a UUID is due, in small letters");
    private static final Shape ATTEMPT = text(
            Pattern.compile("[1-9][0-9]{0,17}\\.[1-9][0-9]{0,8}"),
            "an attempt is TASK.NUMBER, two whole numbers, as it was offered");
    private static final Shape ATTEMPTS = list(ATTEMPT);
    private static final Shape NUMBER = number(-1e15, 1e15);
    private static final Shape SHORT = text(0, 200);
    private static final Shape WORDS = text(0, 2_000);
    private static final Shape COUNT = whole(0, Integer.MAX_VALUE);
    private static final Shape SEQ = whole(1, Integer.MAX_VALUE);
    private static final Shape ERROR =
            object(need("type", SHORT), need("message", WORDS), may("trace", text(0, 16_000)));
    private static final Shape PROGRAM = object(need("definition", mapping()), may("version", SHORT));
    private static final Shape KNOWN_CALL = object(
            need("seq", SEQ),
            need("kind", text()),
            need("name", text()),
            may("order", whole()),
            may("ok", flag()),
            may("output", any()),
            may("error", ERROR));
    private static final Shape DONE_CALL = object(
            need("seq", SEQ),
            need("kind", oneOf("step", "moment", "patch", "send", "set", "write")),
            need("name", SHORT),
            need("ok", flag()),
            may("output", any()),
            may("error", ERROR),
            may("input", any()),
            may("tries", COUNT),
            may("began", NUMBER),
            may("over", NUMBER),
            may("effect", mapping()));
    private static final Shape ORDERED = object(need("seq", SEQ), need("order", whole()));

    static final Map<String, Shape> FROM_WORKER = Map.ofEntries(
            Map.entry("hello", object(
                    need("oldest", whole()),
                    need("newest", whole()),
                    need("name", text(WORKER, WORKER_RULE)),
                    need("slots", whole(1, 1_000)),
                    need("actions", list(text(SERVED, SERVED_RULE))),
                    need("workflows", list(PROGRAM)),
                    need("running", ATTEMPTS),
                    need("sdk", SHORT),
                    may("host", SHORT),
                    may("pid", COUNT))),
            Map.entry("lease", object(need("running", ATTEMPTS))),
            Map.entry("ended", object(
                    need("attempt", ATTEMPT),
                    need("ending", oneOf("SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED")),
                    may("output", any()),
                    may("error", ERROR),
                    may("retryable", flag()),
                    may("lost", flag()))),
            Map.entry("back", object(need("attempt", ATTEMPT), may("why", WORDS))),
            Map.entry("progress", object(
                    need("attempt", ATTEMPT),
                    may("percent", number(0, 100)),
                    may("message", WORDS),
                    may("data", mapping()))),
            Map.entry("log", object(need("attempt", ATTEMPT), need("offset", whole(0, 1L << 50)), need("text", text()))),
            Map.entry("drain", object()),
            Map.entry("leave", object()),
            Map.entry("record", object(need("attempt", ATTEMPT), need("calls", list(DONE_CALL)))),
            Map.entry("call", object(
                    need("attempt", ATTEMPT), need("seq", SEQ), need("name", SHORT), need("task", mapping()))),
            Map.entry("give_up", object(need("attempt", ATTEMPT), need("seq", SEQ))),
            Map.entry("park", object(need("attempt", ATTEMPT), need("seqs", list(SEQ)))),
            Map.entry("diverged", object(
                    need("attempt", ATTEMPT), need("seq", SEQ), need("expected", WORDS), need("found", WORDS))));

    static final Map<String, Shape> FROM_SERVER = Map.ofEntries(
            Map.entry("welcome", object(
                    need("protocol", whole()),
                    need("beat", NUMBER),
                    need("lease", NUMBER),
                    need("clock", NUMBER),
                    need("poll", NUMBER),
                    need("server", text()),
                    spare("forget", ATTEMPTS))),
            Map.entry("offer", object(
                    need("attempt", ATTEMPT),
                    need("action", text()),
                    need("payload", any()),
                    need("run", text()),
                    need("task", text()),
                    need("type_name", text()),
                    need("number", whole()),
                    need("key", text()),
                    may("timeout", NUMBER),
                    may("grace", NUMBER),
                    may("workflow", mapping()))),
            Map.entry("command", object(
                    need("attempt", ATTEMPT),
                    need("verb", oneOf("stop", "kill", "hold", "resume")),
                    need("reason", text()))),
            Map.entry("have", object(need("attempts", ATTEMPTS))),
            Map.entry("forget", object(need("attempt", ATTEMPT))),
            Map.entry("bye", object(need("why", text()), need("fenced", flag()))),
            Map.entry("history", object(need("attempt", ATTEMPT), need("calls", list(KNOWN_CALL)))),
            Map.entry("recorded", object(need("attempt", ATTEMPT), need("calls", list(ORDERED)))),
            Map.entry("resolved", object(
                    need("attempt", ATTEMPT),
                    need("seq", SEQ),
                    need("order", whole()),
                    need("ok", flag()),
                    may("output", any()),
                    may("error", ERROR))),
            Map.entry("parked", object(need("attempt", ATTEMPT))));

    private Shapes() {}
}
