package procession.carriers;

import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpTimeoutException;
import java.nio.channels.UnresolvedAddressException;
import java.util.concurrent.CompletionException;

/** Where a server is, and how it is asked. */
public record Web(HttpClient http, URI server, String token) {
    /** A request of this path. Without the offer of HTTP/2, which not every server passes over. */
    public HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(base() + path))
                .version(HttpClient.Version.HTTP_1_1)
                .header("Authorization", "Bearer " + token);
    }

    /** Whether nobody on the way can read along. */
    public boolean isPrivate() {
        String host = server.getHost();
        boolean isHere = host.equals("localhost") || host.equals("[::1]") || host.startsWith("127.");
        return isHere || "https".equals(server.getScheme());
    }

    URI stream(String path) {
        return URI.create(base().replaceFirst("^http", "ws") + path);
    }

    private String base() {
        String text = server.toString();
        return text.endsWith("/") ? text.substring(0, text.length() - 1) : text;
    }

    /** The server's address, where there is nothing secret in it. */
    public static URI server(String address) {
        URI server;
        try {
            server = URI.create(address);
        } catch (IllegalArgumentException error) {
            throw new IllegalArgumentException(rule(address));
        }
        boolean isWeb = "http".equals(server.getScheme()) || "https".equals(server.getScheme());
        if (!isWeb || server.getHost() == null || server.getQuery() != null || server.getFragment() != null) {
            throw new IllegalArgumentException(rule(address));
        }
        if (server.getUserInfo() != null) {
            throw new IllegalArgumentException("the url has a user in it: give the token by itself");
        }
        return server;
    }

    private static String rule(String address) {
        boolean mayBeSecret = address.matches("(?s).*[@?#].*");
        return "url: " + (mayBeSecret ? "what was given" : "'" + address + "'") + " is not the address of a server, such as http://127.0.0.1:8080";
    }

    /** What went wrong on the way, in words for people. */
    public static String worded(Throwable error) {
        Throwable cause = error;
        while (cause instanceof CompletionException && cause.getCause() != null) {
            cause = cause.getCause();
        }
        if (cause instanceof HttpTimeoutException) {
            return "it did not answer in time";
        }
        if (cause instanceof ConnectException || cause.getCause() instanceof UnresolvedAddressException) {
            return "nobody answers there";
        }
        boolean isPlain = cause instanceof IOException && cause.getMessage() != null;
        return isPlain ? cause.getMessage() : cause.toString();
    }
}
