"""The front ends: nginx's configuration before the instances of each service. Pure text.

A connection goes to the instance with the fewest (or, sticky, by the client's address). An instance that could not be reached three times
is left out for 30 s; one with all its connections is not asked, so that a full instance is never taken for a broken one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import Unavailable

RETRY_S = 5
TIMEOUT_S = 300
"""Longest pause of a connection that nginx bears; the services end idle ones earlier, and ping."""


@dataclass(frozen=True, slots=True)
class Front:
    """One service's front end: where it listens, and the ports of its instances on this machine."""

    service: str
    port: int
    instances: tuple[int, ...]


def nginx_config(
    folder: Path,
    host: str,
    fronts: Sequence[Front],
    *,
    health_port: int,
    connections: int,
    sticky: bool = False,
) -> str:
    """A whole configuration, for `nginx -p folder -c file`. `connections` is the most that an instance takes."""
    servers = "\n".join(_server(front, host, health_port) for front in fronts)
    upstreams = "\n".join(_upstream(front, connections, sticky) for front in fronts)
    temporary = "\n".join(
        f"    {kind}_temp_path {folder}/temporary/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""# Made by `avacast speech up`; it is written anew at each start.
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/logs/nginx.error.log warn;
events {{ worker_connections 4096; }}
http {{
{temporary}
    log_format speech '$remote_addr [$time_iso8601] $request_method $uri $status $bytes_sent $request_time $upstream_addr';
    access_log {folder}/logs/nginx.log speech;
    server_tokens off;
    client_max_body_size 16k;
    client_body_buffer_size 16k;
    client_header_timeout 10s;
{upstreams}
{servers}
}}
"""


def _upstream(front: Front, connections: int, sticky: bool) -> str:
    servers = "\n".join(
        f"        server 127.0.0.1:{port} max_conns={connections} max_fails=3 fail_timeout=30s;"
        for port in front.instances
    )
    return f"""    upstream {front.service} {{
        zone {front.service} 64k;
        {"ip_hash" if sticky else "least_conn"};
{servers}
    }}"""


def _server(front: Front, host: str, health_port: int) -> str:
    problem = Unavailable(
        f"no instance of {front.service} has room, or none is up",
        code="speech_unavailable",
        hint="come again; /health says which",
        retry_after_s=RETRY_S,
    )
    return f"""    server {{
        listen {_address(host)}:{front.port};
        location = /v1/stream/{front.service} {{
            proxy_pass http://{front.service};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_connect_timeout 2s;
            proxy_read_timeout {TIMEOUT_S}s;
            proxy_send_timeout {TIMEOUT_S}s;
            proxy_buffering off;
            proxy_next_upstream error timeout;
            error_page 502 504 = @unavailable;
        }}
        location = /health {{
            access_log off;
            proxy_pass http://127.0.0.1:{health_port}/health/{front.service};
            error_page 502 504 = @unavailable;
        }}
        location @unavailable {{
            internal;
            default_type application/problem+json;
            add_header Retry-After {RETRY_S} always;
            add_header Cache-Control no-store always;
            add_header Access-Control-Allow-Origin * always;
            return 503 '{json.dumps(problem.body())}';
        }}
        location / {{
            return 404;
        }}
    }}"""


def _address(host: str) -> str:
    return f"[{host}]" if ":" in host else host
