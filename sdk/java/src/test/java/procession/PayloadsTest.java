package procession;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.util.HashMap;
import java.util.Map;
import procession.protocol.Ending;
import procession.support.Check;

public class PayloadsTest {
    record Order(String id, long cents) {}

    void a_text_is_itself_and_anything_else_is_json() {
        Check.equal(read("\"hello\"", String.class), "hello");
        Check.equal(read("{\"a\":[1,2.5,\"<\"]}", String.class), "{\"a\":[1,2.5,\"<\"]}");
        Check.equal(read("null", String.class), null);
    }

    void json_may_be_had_as_a_record_a_map_or_as_it_is() {
        Check.equal(read("{\"id\":\"a\",\"cents\":9007199254740993}", Order.class), new Order("a", 9007199254740993L));
        Check.equal(read("{\"n\":3}", Map.class).get("n"), 3L);
        Check.equal(read("[1]", JsonElement.class), JsonParser.parseString("[1]"));
        Check.equal(read("null", JsonElement.class), JsonNull.INSTANCE);
        Check.equal(read("5", Object.class), 5L);
    }

    void a_payload_that_cannot_be_read_is_a_failure_for_good() {
        Failure failure = Check.raises(Failure.class, () -> read("[1]", Order.class));
        Check.that(!failure.isRetryable(), failure);
        Check.contains(failure.getMessage(), "Order");
    }

    void results_are_told_as_json_with_their_nulls() {
        Map<String, Object> result = new HashMap<>();
        result.put("a", null);
        Check.equal(Payloads.tree(Payloads.DEFAULT, result).getAsJsonObject().get("a"), JsonNull.INSTANCE);
        Check.equal(Payloads.tree(Payloads.DEFAULT, "x"), new JsonPrimitive("x"));
        Check.equal(Payloads.tree(Payloads.DEFAULT, null), JsonNull.INSTANCE);
    }

    void whatever_a_handler_throws_is_a_failure_with_type_message_and_trace() {
        Ending ending = carriedOut((payload, context) -> {
            throw new StackOverflowError("deep");
        });
        Check.equal(ending.kind(), Ending.Kind.FAILED);
        Check.equal(ending.error().type(), "java.lang.StackOverflowError");
        Check.equal(ending.error().message(), "deep");
        Check.contains(ending.error().trace(), "PayloadsTest");
        Check.that(ending.retryable(), "it may be tried again");
    }

    void a_result_that_is_no_json_is_a_failure() {
        Check.equal(carriedOut((payload, context) -> Double.NaN).kind(), Ending.Kind.FAILED);
        Check.equal(carriedOut((payload, context) -> Thread.currentThread()).kind(), Ending.Kind.FAILED);
    }

    void an_exception_that_cannot_say_what_it_is_is_a_failure_all_the_same() {
        Ending ending = carriedOut((payload, context) -> {
            throw new RuntimeException() {
                private static final long serialVersionUID = 1L;

                @Override
                public String getMessage() {
                    throw new IllegalStateException();
                }
            };
        });
        Check.equal(ending.kind(), Ending.Kind.FAILED);
    }

    private static Ending carriedOut(ContextHandler<String> handler) {
        return new Action<>(String.class, handler).carryOut(Payloads.DEFAULT, JsonNull.INSTANCE, null);
    }

    private static <T> T read(String json, Class<T> type) {
        return Payloads.read(Payloads.DEFAULT, JsonParser.parseString(json), type);
    }
}
