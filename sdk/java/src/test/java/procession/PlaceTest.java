package procession;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import procession.support.Check;

public class PlaceTest {
    void what_is_given_counts_more_than_the_environment() {
        Place place = new Place(Map.of("PROCESSION_URL", "http://a:1", "PROCESSION_TOKEN", "pn_env"));
        Check.equal(place.server().toString(), "http://a:1");
        Check.equal(place.secret(), "pn_env");
        place.url("https://b/below");
        place.token("pn_given");
        Check.equal(place.server().toString(), "https://b/below");
        Check.equal(place.secret(), "pn_given");
    }

    void a_token_file_is_read_anew_each_time() throws Exception {
        Path file = Files.createTempFile("token", "");
        try {
            Files.writeString(file, "pn_one\n");
            Place place = new Place(Map.of("PROCESSION_TOKEN_FILE", file.toString()));
            Check.equal(place.secret(), "pn_one");
            Files.writeString(file, "pn_two\n");
            Check.equal(place.secret(), "pn_two");
        } finally {
            Files.delete(file);
        }
    }

    void what_is_missing_is_said_with_its_remedy() {
        Place place = new Place(Map.of());
        Check.contains(
                Check.raises(IllegalStateException.class, place::secret).getMessage(), "PROCESSION_TOKEN");
        Check.equal(place.server().toString(), "http://127.0.0.1:8080");
    }

    void an_address_with_something_secret_in_it_is_refused_and_not_shown() {
        for (String address : new String[] {"http://me:secret@host", "ftp://secret@x", "http://h?token=secret", "x"}) {
            Place place = new Place(Map.of());
            String said = Check.raises(IllegalArgumentException.class, () -> url(place, address))
                    .getMessage();
            Check.that(!said.contains("secret"), said);
        }
    }

    void a_token_with_a_line_break_in_it_is_none() {
        Place place = new Place(Map.of("PROCESSION_TOKEN", "pn_a\r\nX-Evil: 1"));
        String said = Check.raises(IllegalArgumentException.class, place::secret).getMessage();
        Check.that(!said.contains("pn_a"), said);
    }

    private static Object url(Place place, String address) {
        place.url(address);
        return place;
    }
}
