package procession;

import com.google.gson.Gson;
import java.net.URI;
import java.net.http.HttpClient;
import java.util.Map;
import procession.carriers.Web;
import procession.protocol.Served;

/** All that a worker was told before it began. */
record Setup(
        Place place,
        URI server,
        HttpClient http,
        Served served,
        Map<String, Action<?>> actions,
        Gson gson,
        Transport transport,
        double grace) {
    /** With the token as it is now. */
    Web web() {
        return new Web(http, server, place.secret());
    }
}
