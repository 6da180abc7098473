# Varnish before Avacast's packagers: /etc/varnish/default.vcl. Written for Varnish 6.0 to 7.x.
# To change: the packagers' addresses. TLS and HTTP/2 come from hitch or another TLS proxy before it. docs/cdn.md says the rest.
vcl 4.1;

import std;

# Is a packager there? It answers preflights of any path.
probe alive {
    .request = "OPTIONS /hls/ HTTP/1.1" "Host: packager" "Connection: close";
    .expected_response = 204;
    .interval = 1s;
    .timeout = 1s;
    .window = 3;
    .threshold = 2;
    .initial = 2;
}

backend first {
    .host = "127.0.0.1";
    .port = "8088";
    .connect_timeout = 2s;
    # The packager holds a reload for at most 8 s.
    .first_byte_timeout = 12s;
    .between_bytes_timeout = 12s;
    .probe = alive;
}

# The twin (AVACAST_HLS_PACKAGERS=2), which has the same bytes, asked when the first cannot answer. With one packager, its address again.
backend second {
    .host = "127.0.0.1";
    .port = "8088";
    .connect_timeout = 2s;
    .first_byte_timeout = 12s;
    .between_bytes_timeout = 12s;
    .probe = alive;
}

# The same packagers' control port (AVACAST_HTTP_PORT), which has their recordings.
backend recorder {
    .host = "127.0.0.1";
    .port = "8080";
    .connect_timeout = 2s;
    .first_byte_timeout = 30s;
    .between_bytes_timeout = 30s;
}

sub vcl_recv {
    if (req.restarts > 0) {
        # The token is good: now what the viewer wants.
        return (hash);
    }
    unset req.http.X-Avacast-Token;
    unset req.http.X-Wanted;
    if (req.method == "OPTIONS") {
        return (synth(204));
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (synth(405));
    }
    # Letters, digits, - _ . and / are all that our names have.
    if (req.url !~ "^/(hls|recordings)/[A-Za-z0-9_-][A-Za-z0-9_./-]{0,400}(\?|$)") {
        return (synth(404));
    }
    # A whole film is too much for the memory: it is passed through, in the ranges that are asked for, with the token in its address.
    if (req.url ~ "^/recordings/[A-Za-z0-9_./-]+/recording\.mp4(\?|$)") {
        return (pass);
    }
    # The directives, once each and in one order; nothing else of a query. What the packager is asked is the key, letter by letter.
    set req.http.X-Query = "";
    if (req.url ~ "[?&]_HLS_msn=") {
        set req.http.X-Query = regsub(req.url, "^.*[?&](_HLS_msn=[^&]*).*$", "\1");
    }
    if (req.url ~ "[?&]_HLS_part=") {
        set req.http.X-Query = req.http.X-Query + "&" + regsub(req.url, "^.*[?&](_HLS_part=[^&]*).*$", "\1");
    }
    if (req.url ~ "[?&]_HLS_skip=") {
        set req.http.X-Query = req.http.X-Query + "&" + regsub(req.url, "^.*[?&](_HLS_skip=[^&]*).*$", "\1");
    }
    set req.url = regsub(req.url, "\?.*$", "");
    if (req.http.X-Query != "") {
        set req.url = req.url + "?" + req.http.X-Query;
    }
    unset req.http.X-Query;
    # Nothing of a viewer goes further, so nothing of a viewer can change what others get.
    unset req.http.Cookie;
    unset req.http.Authorization;
    unset req.http.Origin;
    unset req.http.Cache-Control;
    # HLS of a private broadcast is asked for as /hls/t/{token}/{broadcast}/..., its recordings as /recordings/t/...: first whether the token is good, which the packager says
    # and for how long we may believe it; then, by a restart, for the object, which is kept once for all viewers.
    if (req.url ~ "^/hls/t/[A-Za-z0-9._-]{1,100}/[A-Za-z0-9_-]+/[A-Za-z0-9]") {
        set req.http.X-Avacast-Token = regsub(req.url, "^/hls/t/([^/]+)/.*$", "\1");
        set req.http.X-Wanted = regsub(req.url, "^/hls/t/[^/]+/", "/hls/t/-/");
        set req.url = regsub(req.http.X-Wanted, "^(/hls/t/-/[^/]+)/.*$", "\1/allowed");
    } else if (req.url ~ "^/recordings/t/(-|[0-9]+\.[0-9a-f]+)/[A-Za-z0-9_-]+/[A-Za-z0-9]") {
        set req.http.X-Avacast-Token = regsub(req.url, "^/recordings/t/([^/]+)/.*$", "\1");
        set req.http.X-Wanted = regsub(req.url, "^/recordings/t/[^/]+/", "/recordings/t/-/");
        set req.url = regsub(req.http.X-Wanted, "^/recordings(/t/-/[^/]+)/.*$", "/hls\1/allowed");
    }
    return (hash);
}

sub vcl_hash {
    hash_data(req.url);
    if (req.restarts == 0 && req.http.X-Wanted) {
        hash_data(req.http.X-Avacast-Token);
    }
    return (lookup);
}

sub vcl_backend_fetch {
    unset bereq.http.X-Wanted;
    if (bereq.url ~ "^/recordings/") {
        set bereq.backend = recorder;
        return (fetch);
    }
    set bereq.backend = first;
    if (bereq.retries > 0 || !std.healthy(first)) {
        set bereq.backend = second;
    }
}

sub vcl_backend_response {
    if (bereq.retries == 0 && (beresp.status == 404 || beresp.status >= 500)) {
        return (retry);
    }
    # Lifetimes are the packager's. Nothing is shown beyond them: a playlist of before would send players back.
    set beresp.grace = 0s;
    set beresp.keep = 0s;
    if (beresp.status >= 400) {
        # As the packager says; Varnish would take it only of 404, and pass the others through one by one.
        set beresp.ttl = 1s;
        set beresp.uncacheable = false;
    }
    return (deliver);
}

sub vcl_backend_error {
    if (bereq.retries == 0) {
        return (retry);
    }
    set beresp.status = 503;
    set beresp.ttl = 1s;
    set beresp.grace = 0s;
    set beresp.http.Content-Type = "application/problem+json";
    set beresp.http.Cache-Control = "max-age=1";
    set beresp.http.Retry-After = "1";
    set beresp.http.Access-Control-Allow-Origin = "*";
    set beresp.body = {"{"type":"about:blank","title":"Service Unavailable","code":"hls_no_packager","detail":"no packager answers; ask again","status":503}"};
    return (deliver);
}

sub vcl_deliver {
    if (req.restarts == 0 && req.http.X-Wanted && resp.status == 204) {
        set req.url = req.http.X-Wanted;
        return (restart);
    }
    set resp.http.X-Cache = "MISS";
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    }
    unset resp.http.Via;
    unset resp.http.X-Varnish;
}

sub vcl_synth {
    set resp.http.Access-Control-Allow-Origin = "*";
    if (resp.status == 204) {
        set resp.http.Access-Control-Allow-Methods = "GET, HEAD, OPTIONS";
        set resp.http.Access-Control-Allow-Headers = "*";
        set resp.http.Access-Control-Max-Age = "86400";
        return (deliver);
    }
    set resp.http.Content-Type = "application/problem+json";
    set resp.http.Cache-Control = "max-age=1";
    if (resp.status == 405) {
        set resp.http.Allow = "GET, HEAD, OPTIONS";
        set resp.body = {"{"type":"about:blank","title":"Method Not Allowed","code":"method_not_allowed","detail":"only GET, HEAD and OPTIONS","status":405}"};
    } else {
        set resp.body = {"{"type":"about:blank","title":"Not Found","code":"hls_not_found","detail":"nothing but /hls/ and /recordings/ is here","status":404}"};
    }
    return (deliver);
}
