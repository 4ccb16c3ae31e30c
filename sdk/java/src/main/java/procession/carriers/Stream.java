package procession.carriers;

import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.atomic.AtomicBoolean;
import procession.protocol.Wire;

/** Frames over a WebSocket. */
public final class Stream implements Carrier {
    private static final String PROTOCOL = "procession.worker.1";
    private static final Duration OPENING = Duration.ofSeconds(15);
    private static final int UNKNOWN_TOKEN = 4401;
    private static final int NO_VERSION = 4406;
    private static final int OVER = 4409;

    private final Web web;
    private final AtomicBoolean isOver = new AtomicBoolean();
    private volatile WebSocket socket;
    private Ear ear;

    public Stream(Web web) {
        this.web = web;
    }

    @Override
    public void open(Ear whose) {
        ear = whose;
        web.http()
                .newWebSocketBuilder()
                .subprotocols(PROTOCOL)
                .header("Authorization", "Bearer " + web.token())
                .connectTimeout(OPENING)
                .buildAsync(web.stream("/api/v1/workers/stream"), new Listening())
                .whenComplete(this::built);
    }

    private void built(WebSocket made, Throwable error) {
        if (error != null) {
            end(refusal(error));
            return;
        }
        socket = made;
        if (isOver.get()) {
            made.abort();
        } else if (!PROTOCOL.equals(made.getSubprotocol())) {
            end(new Loss(Loss.Kind.BLOCKED, "what answers there does not speak " + PROTOCOL));
        } else {
            ear.opened();
            made.request(1);
        }
    }

    private static Loss refusal(Throwable error) {
        Throwable cause = error instanceof CompletionException ? error.getCause() : error;
        if (cause instanceof WebSocketHandshakeException refused) {
            int status = refused.getResponse().statusCode();
            return switch (status) {
                case 401 -> new Loss(Loss.Kind.REFUSED, "the server does not know this token (`procession tokens create` makes one)");
                case 429, 503 -> Loss.again("the server answers " + status);
                default -> new Loss(Loss.Kind.BLOCKED, "the server answers " + status + " to a stream");
            };
        }
        return Loss.again(Web.worded(error));
    }

    @Override
    public void send(String frame) {
        write(socket.sendText(frame, true)).thenRun(ear::sent);
    }

    @Override
    public void knock() {
        write(socket.sendPing(ByteBuffer.allocate(0)));
    }

    private CompletableFuture<?> write(CompletableFuture<?> writing) {
        writing.whenComplete((done, error) -> {
            if (error != null) {
                end(Loss.again("the connection was lost: " + Web.worded(error)));
            }
        });
        return writing;
    }

    @Override
    public boolean isAsking() {
        return false;
    }

    @Override
    public void close() {
        isOver.set(true);
        WebSocket open = socket;
        if (open != null) {
            open.sendClose(WebSocket.NORMAL_CLOSURE, "").whenComplete((done, error) -> open.abort());
        }
    }

    private void end(Loss loss) {
        if (isOver.compareAndSet(false, true)) {
            if (socket != null) {
                socket.abort();
            }
            ear.lost(loss);
        }
    }

    private static Loss closed(int code, String reason) {
        String why = reason.isEmpty() ? "the connection was closed with " + code : reason;
        return switch (code) {
            case UNKNOWN_TOKEN, NO_VERSION -> new Loss(Loss.Kind.REFUSED, why);
            case OVER -> new Loss(Loss.Kind.FENCED, why);
            default -> Loss.again(why);
        };
    }

    private final class Listening implements WebSocket.Listener {
        private final StringBuilder text = new StringBuilder();

        /** The first is asked for when the other end is known to speak as we do. */
        @Override
        public void onOpen(WebSocket opened) {}

        @Override
        public CompletionStage<?> onText(WebSocket from, CharSequence part, boolean isLast) {
            if (text.length() + part.length() > Wire.LARGEST) {
                end(Loss.again("the server said more than a frame may have"));
                return null;
            }
            text.append(part);
            if (isLast) {
                ear.heard(text.toString());
                text.setLength(0);
            }
            from.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onBinary(WebSocket from, ByteBuffer part, boolean isLast) {
            end(Loss.again("the server said something that is no text"));
            return null;
        }

        @Override
        public CompletionStage<?> onPong(WebSocket from, ByteBuffer message) {
            ear.alive();
            from.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onClose(WebSocket from, int code, String reason) {
            end(closed(code, reason));
            return null;
        }

        @Override
        public void onError(WebSocket from, Throwable error) {
            end(Loss.again("the connection was lost: " + Web.worded(error)));
        }
    }
}
