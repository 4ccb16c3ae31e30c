package procession;

import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.UncheckedIOException;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/**
 * Asks a server: publishes definitions, starts runs, waits for them, steers them.
 *
 * <p>The server and the token come from PROCESSION_URL and PROCESSION_TOKEN (or PROCESSION_TOKEN_FILE)
 * where they are not given. A refusal is a {@link Problem}; a server that is not reached is an
 * {@link UncheckedIOException}. May be used by several threads.
 */
public final class Client {
    private static final String API = "/api/v1";
    private static final long LONGEST_WAIT = 50; // seconds of one request

    private final Place place = new Place(System.getenv());
    private final Asking asking;
    private final Gson gson = Payloads.DEFAULT;

    public Client() {
        this(HttpClient.newHttpClient());
    }

    /** The server at this address. */
    public Client(String url) {
        this();
        place.url(url);
    }

    /** For proxies and certificates of one's own. */
    public Client(HttpClient http) {
        asking = new Asking(place, http);
    }

    public Client url(String url) {
        place.url(url);
        return this;
    }

    public Client token(String token) {
        place.token(token);
        return this;
    }

    /** A file that holds the token. */
    public Client tokenFile(Path file) {
        place.tokenFile(file);
        return this;
    }

    // Chains of actions: the output of each is the payload of the next.

    /** Publishes a chain of actions; the same id again makes a new version. */
    public String defineWorkflow(String id, List<String> actions) {
        JsonArray steps = new JsonArray();
        for (String action : actions) {
            JsonObject step = new JsonObject();
            step.addProperty("action", action);
            step.addProperty("stepIndex", steps.size());
            steps.add(step);
        }
        JsonObject wish = new JsonObject();
        wish.addProperty("id", id);
        wish.add("steps", steps);
        return asking.post("/workflow/", gson.toJson(wish), Asking.JSON, null);
    }

    public String defineWorkflow(String id, String... actions) {
        return defineWorkflow(id, List.of(actions));
    }

    /** Starts a chain with the payload of its first action; the id of the run is the answer. */
    public String triggerWorkflow(String id, Object payload) {
        return triggerWorkflow(id, payload, null);
    }

    /** The same key with the same payload is the same run. */
    public String triggerWorkflow(String id, Object payload, String idempotencyKey) {
        JsonObject wish = new JsonObject();
        wish.add("input", Payloads.tree(gson, payload));
        return asking.post(path("workflow", id, "trigger"), gson.toJson(wish), Asking.JSON, idempotencyKey);
    }

    /** A run of a chain with the results of its steps. */
    public JsonObject getRunStatus(String run) {
        return asking.get(path("workflow", "run", run)).getAsJsonObject();
    }

    // Definitions and runs of every kind.

    /** Publishes process types, all of the text or nothing of it: YAML, or JSON. */
    public JsonObject define(String definition) {
        String type = definition.stripLeading().startsWith("{") ? Asking.JSON : "application/yaml";
        String told = asking.post(API + "/process-types", definition, type, null);
        return asking.parsed(told).getAsJsonObject();
    }

    /** Publishes a process type that is an object of JSON, a Map or a record. */
    public JsonObject define(Object definition) {
        return define(gson.toJson(Payloads.tree(gson, definition)));
    }

    public Run start(String type) {
        return start(type, Map.of());
    }

    /** Starts a run; the input becomes an object of JSON. */
    public Run start(String type, Object input) {
        return start(type, input, null);
    }

    /** The same key with the same input is the same run. */
    public Run start(String type, Object input, String idempotencyKey) {
        JsonObject order = new JsonObject();
        order.addProperty("type", type);
        order.add("input", Payloads.tree(gson, input));
        return start(order, idempotencyKey);
    }

    /** Also with `version`, `priority` and `labels`. */
    public Run start(JsonObject order, String idempotencyKey) {
        String told = asking.post(API + "/runs", gson.toJson(order), Asking.JSON, idempotencyKey);
        return Run.of(asking.parsed(told).getAsJsonObject());
    }

    public Run status(String run) {
        return Run.of(asking.get(of(run)).getAsJsonObject());
    }

    /** Waits until the run is over, however that is. */
    public Run await(String run) {
        Run found = wait(run, LONGEST_WAIT);
        while (!found.isOver()) {
            found = wait(run, LONGEST_WAIT);
        }
        return found;
    }

    public Run await(String run, Duration most) throws TimeoutException {
        long end = System.nanoTime() + most.toNanos();
        while (true) {
            double left = (end - System.nanoTime()) / 1e9;
            Run found = wait(run, (long) Math.min(LONGEST_WAIT, Math.max(0, Math.ceil(left))));
            if (found.isOver()) {
                return found;
            }
            if (left <= 0) {
                throw new TimeoutException("run " + run + " is " + found.status() + " after " + most);
            }
        }
    }

    private Run wait(String run, long seconds) {
        JsonElement told = seconds > 0 ? asking.getWithin(of(run), seconds) : asking.get(of(run));
        return Run.of(told.getAsJsonObject());
    }

    /**
     * Waits for the run, and for what came out of it.
     *
     * @throws RunFailed if it came to another end
     */
    public JsonElement output(String run) {
        Run found = await(run);
        if (!found.hasSucceeded()) {
            throw new RunFailed(found);
        }
        return found.output();
    }

    /** As text: a JSON text as it is, anything else as JSON. */
    public String outputText(String run) {
        return Payloads.text(gson, output(run));
    }

    public List<JsonObject> tasks(String run) {
        return all(of(run) + "/tasks");
    }

    /** Why a run waits, or came to its end, in words. */
    public JsonObject why(String run) {
        return asking.get(of(run) + "/why").getAsJsonObject();
    }

    // Commands.

    public Run hold(String run) {
        return command(run, "hold", Map.of());
    }

    public Run resume(String run) {
        return command(run, "resume", Map.of());
    }

    public Run stop(String run) {
        return command(run, "stop", Map.of());
    }

    public Run retry(String run) {
        return command(run, "retry", Map.of());
    }

    /** Any command of the API, with its options: {@code command(run, "stop", Map.of("undo", true))}. */
    public Run command(String run, String verb, Map<String, ?> options) {
        String path = of(run) + path(verb);
        String told = asking.post(path, gson.toJson(options), Asking.JSON, null);
        return Run.of(asking.parsed(told).getAsJsonObject());
    }

    // What tasks print.

    /**
     * Gives each line that a task prints, as it does, until the task is over: of one attempt after the
     * other. One that has not begun is waited for.
     */
    public void logs(String run, String task, Consumer<String> lines) {
        int number = 1;
        while (hasAttempt(run, task, number)) {
            String output = path("tasks", task, "attempts", String.valueOf(number), "output", "events");
            new Following(asking, of(run) + output + "?follow=true", lines).toItsEnd();
            number++;
        }
    }

    private boolean hasAttempt(String run, String task, int number) {
        while (true) {
            JsonObject found = asking.get(of(run) + path("tasks", task)).getAsJsonObject();
            if (found.get("attempt").getAsInt() >= number) {
                return true;
            }
            if (isOver(found) || wait(run, 1).isOver()) {
                JsonObject last = asking.get(of(run) + path("tasks", task)).getAsJsonObject();
                return last.get("attempt").getAsInt() >= number;
            }
        }
    }

    private static boolean isOver(JsonObject task) {
        return List.of("COMPLETED", "FAILED", "SKIPPED", "STOPPED").contains(task.get("status").getAsString());
    }

    // Everything else.

    /** Any GET below /api/v1: {@code get("/workers")}. */
    public JsonElement get(String path) {
        return asking.get(API + path);
    }

    /** Any POST below /api/v1. */
    public JsonElement post(String path, Object body) {
        return asking.parsed(asking.post(API + path, gson.toJson(Payloads.tree(gson, body)), Asking.JSON, null));
    }

    private List<JsonObject> all(String path) {
        List<JsonObject> items = new ArrayList<>();
        String cursor = null;
        do {
            String page = cursor == null ? path : path + "?cursor=" + quoted(cursor);
            JsonObject told = asking.get(page).getAsJsonObject();
            told.getAsJsonArray("items").forEach(each -> items.add(each.getAsJsonObject()));
            JsonElement next = told.get("next");
            cursor = next == null || next.isJsonNull() ? null : next.getAsString();
        } while (cursor != null);
        return items;
    }

    private static String of(String run) {
        return API + path("runs", run);
    }

    private static String path(String... parts) {
        StringBuilder path = new StringBuilder();
        for (String part : parts) {
            path.append('/').append(quoted(part));
        }
        return path.toString();
    }

    private static String quoted(String part) {
        return URLEncoder.encode(part, StandardCharsets.UTF_8).replace("+", "%20");
    }
}
