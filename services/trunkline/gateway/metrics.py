"""What the gateway counts and times; no label ever holds a call id."""

from prometheus_client import Counter, Gauge, Histogram

from trunkline.telemetry.metrics import VOICE_BUCKETS_S

calls = Gauge("trunkline_gateway_calls", "Calls at this gateway")
refused = Counter("trunkline_gateway_refused_total", "Calls refused before the upgrade", ["reason", "why"])
requests_refused = Counter(
    "trunkline_gateway_requests_refused_total", "Requests of the HTTP APIs that were refused", ["reason", "why"]
)
over_key_limit = Counter(
    "trunkline_gateway_key_limit_total", "Calls and requests refused since their API key has its most at this gateway"
)
connections = Gauge("trunkline_gateway_connections", "Connections that clients have open, WebSockets among them")
turned_away = Counter(
    "trunkline_gateway_turned_away_total",
    "Connections and requests ended for what their client did, or didn't",
    ["why"],
)
ended = Counter("trunkline_gateway_ended_total", "Calls ended", ["how"])
placing_s = Histogram("trunkline_gateway_placing_seconds", "From the request to a call placed at all stages")
requests = Counter("trunkline_gateway_requests_total", "Requests of the HTTP APIs that were placed", ["api"])
moves = Counter("trunkline_gateway_moves_total", "Calls of which a stage got another worker", ["stage", "kind"])
moving_s = Histogram(
    "trunkline_gateway_moving_seconds",
    "From the loss of a stage's worker to another that took the call",
    ["stage"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0),
)
first_commentary_s = Histogram(
    "trunkline_gateway_first_commentary_seconds",
    "From the caller's last voiced sample to the first commentary audio of the turn",
    buckets=VOICE_BUCKETS_S,
)
first_answer_s = Histogram(
    "trunkline_gateway_first_answer_seconds",
    "From the caller's last voiced sample to the first answer audio of the turn; commentary never closes it",
    buckets=VOICE_BUCKETS_S,
)
first_speech_s = Histogram(
    "trunkline_gateway_speech_first_byte_seconds",
    "From a request for speech to the first byte of its answer",
    buckets=VOICE_BUCKETS_S,
)
playout_late_s = Histogram(
    "trunkline_gateway_playout_late_seconds",
    "Silence within a segment since its audio came too late",
    buckets=(0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
)
ticker_late_s = Histogram(
    "trunkline_gateway_ticker_late_seconds",
    "How late the playout ticker ran",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
)
slow_clients = Counter("trunkline_gateway_slow_clients_total", "Clients closed since they read too slowly")
client_errors = Counter("trunkline_gateway_client_errors_total", "Error events sent to clients", ["code"])
rtp_lost = Counter("trunkline_gateway_rtp_lost_total", "Callers' packets over WebRTC that never came, or too late")
rtp_left_out = Counter(
    "trunkline_gateway_rtp_left_out_seconds_total",
    "Sound over WebRTC that was too far ahead of the clock",
    ["direction"],
)
transcribed_s = Counter("trunkline_gateway_transcribed_seconds_total", "Sound of files that clients had transcribed")
ring_dropped = Counter("trunkline_gateway_ring_dropped_samples_total", "Caller's audio pushed out of a full ring")
speech_missing = Counter("trunkline_gateway_speech_missing_total", "Segments of which audio was ordered again")
speech_failed = Counter("trunkline_gateway_speech_failed_total", "Segments that TTS could not speak")
echoes = Counter("trunkline_gateway_echoes_total", "Onsets of speech that were the agent's own voice")
interruptions = Counter("trunkline_gateway_interruptions_total", "Responses that ended early", ["reason"])
silences = Counter("trunkline_gateway_silences_total", "Times that an agent was told of both sides' silence")
decisions = Counter("trunkline_gateway_decisions_total", "Decisions of people, by what came of them", ["outcome"])
