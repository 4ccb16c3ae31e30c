package procession;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import procession.carriers.Web;

/** Where the server is and with what token it is asked: as given, or from the environment. */
final class Place {
    private static final String HERE = "http://127.0.0.1:8080";

    private final Map<String, String> environment;
    private String url;
    private String token;
    private Path file;

    Place(Map<String, String> environment) {
        this.environment = environment;
    }

    void url(String given) {
        Web.server(given);
        url = given;
    }

    void token(String given) {
        token = checked(given, "the token");
    }

    void tokenFile(Path given) {
        file = given;
    }

    URI server() {
        String known = told("PROCESSION_URL", told("PROCESSION_SERVER", HERE));
        return Web.server(url == null ? known : url);
    }

    /** A file is read anew each time, so a token may be exchanged while a worker runs. */
    String secret() {
        if (token != null) {
            return token;
        }
        if (file != null) {
            return read(file);
        }
        String known = told("PROCESSION_TOKEN", null);
        if (known != null) {
            return checked(known, "PROCESSION_TOKEN");
        }
        String kept = told("PROCESSION_TOKEN_FILE", null);
        if (kept != null) {
            return read(Path.of(kept));
        }
        throw new IllegalStateException("there is no token: set PROCESSION_TOKEN, or PROCESSION_TOKEN_FILE to the name"
                + " of a file that holds one (`procession tokens create` makes it)");
    }

    private String told(String name, String otherwise) {
        String value = environment.get(name);
        return value == null || value.isBlank() ? otherwise : value;
    }

    private static String read(Path file) {
        try {
            return checked(Files.readString(file), "the token in " + file);
        } catch (IOException error) {
            throw new UncheckedIOException("the token cannot be read from " + file, error);
        }
    }

    private static String checked(String given, String source) {
        String token = given.strip();
        boolean isVisible = !token.isEmpty() && token.chars().allMatch(each -> each > ' ' && each <= '~');
        if (!isVisible) {
            throw new IllegalArgumentException(source + " is none: a token has visible ASCII characters only");
        }
        return token;
    }
}
