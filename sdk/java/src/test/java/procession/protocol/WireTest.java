package procession.protocol;

import com.google.gson.JsonObject;
import procession.support.Check;

public class WireTest {
    private static final String SESSION = "6f1c2b9e-3d64-4c1f-9a57-0c4a3e9b7d21";

    void what_gson_would_let_pass_is_no_json() {
        for (String text : new String[] {
            "{'session': 1}", "{session: 1}", "[1,]", "[1] 2", "NaN", "[TRUE]", "[falsE]", "\"a\tb\"", "// x\n1", "", "[1;2]", "{\"a\"=1}"
        }) {
            Check.raises(BadFrame.class, text, () -> Wire.load(text));
        }
    }

    void numbers_stay_as_they_were_said() throws Exception {
        String text = "[9223372036854775807,1.10,1e3]";
        Check.equal(Wire.text(Wire.load(text)), text);
    }

    void a_message_that_only_the_other_end_says_is_passed_over() throws Exception {
        String frame = "{\"session\":\"" + SESSION + "\",\"messages\":[{\"type\":\"drain\"},{\"type\":\"newer\"}]}";
        Check.equal(Wire.fromServer(frame).messages().size(), 0);
        Check.equal(Wire.fromWorker(frame).messages().size(), 1);
    }

    void a_frame_is_bounded_in_bytes_and_not_in_characters() {
        String text = "\u20ac".repeat(Wire.LARGEST / 2);
        Check.contains(Check.raises(BadFrame.class, () -> Wire.fromServer(text)).getMessage(), "bytes");
    }

    void texts_of_errors_are_made_to_fit() {
        Ending.Fault fault = new Ending.Fault("T\0", "\ud800".repeat(3_000), null);
        Check.equal(fault.type(), "T\ufffd");
        Check.equal(fault.message(), "\ufffd".repeat(2_000));
    }

    void an_output_that_cannot_be_sent_is_found_before_it_is_sent() {
        JsonObject deep = new JsonObject();
        for (int depth = 0; depth < 80; depth++) {
            JsonObject outer = new JsonObject();
            outer.add("in", deep);
            deep = outer;
        }
        JsonObject said = Said.ended("12.1", Ending.succeeded(deep));
        Check.contains(Check.raises(BadFrame.class, () -> Wire.own(said)).getMessage(), "nested");
    }
}
