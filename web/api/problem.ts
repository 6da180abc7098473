/** Errors of the HTTP surface: problem+json (RFC 9457) with a stable code and what to do next. */

export class Problem extends Error {
  constructor(
    /** HTTP status; 0 when no answer came at all. */
    readonly status: number,
    /** Stable name of the error, such as `broadcast_unknown`. */
    readonly code: string,
    detail: string,
    /** What a person can do about it, when the server says so. */
    readonly hint: string | null = null,
    /** How long the server asks us to wait before the next try. */
    readonly retryAfterMs: number | null = null,
  ) {
    super(detail);
    this.name = "Problem";
  }

  /** As the server would have sent it; errors are otherwise empty in JSON. */
  toJSON(): Record<string, unknown> {
    return { status: this.status, code: this.code, detail: this.message, hint: this.hint };
  }
}

const text = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);

/** Reads an answer that is not 2xx. Never throws: a body that is not problem+json gives a plain problem. */
export async function problemOf(response: Response): Promise<Problem> {
  let body: Record<string, unknown> = {};
  try {
    const parsed: unknown = await response.json();
    if (typeof parsed === "object" && parsed !== null) body = parsed as Record<string, unknown>;
  } catch {
    // Proxies answer in HTML; the status has to do.
  }
  const retryAfterS = Number(response.headers.get("Retry-After") ?? Number.NaN);
  return new Problem(
    response.status,
    text(body.code) ?? `http_${response.status}`,
    text(body.detail) ?? text(body.title) ?? `The server answered ${response.status}.`,
    text(body.hint),
    Number.isFinite(retryAfterS) ? retryAfterS * 1000 : null,
  );
}

/** Turns whatever was thrown into a Problem, so that callers handle one type. */
export function problemFrom(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  if (thrown instanceof DOMException && thrown.name === "TimeoutError")
    return new Problem(0, "timeout", "The server did not answer in time.");
  if (thrown instanceof TypeError) return new Problem(0, "unreachable", "The server cannot be reached.");
  return new Problem(0, "failed", thrown instanceof Error ? thrown.message : String(thrown));
}

export interface Call {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  /** Sent as `Authorization: Bearer`. */
  token?: string | null;
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** One JSON call. Rejects with a Problem. An empty answer gives `null`. */
export async function call<T>(url: string | URL, request: Call = {}): Promise<T> {
  const headers: Record<string, string> = {};
  if (request.token) headers.Authorization = `Bearer ${request.token}`;
  if (request.body !== undefined) headers["Content-Type"] = "application/json";
  const timeout = AbortSignal.timeout(request.timeoutMs ?? 8000);
  try {
    const response = await fetch(url, {
      method: request.method ?? "GET",
      headers,
      body: request.body === undefined ? null : JSON.stringify(request.body),
      signal: request.signal ? AbortSignal.any([request.signal, timeout]) : timeout,
      cache: "no-store",
    });
    if (!response.ok) throw await problemOf(response);
    const answer = await response.text();
    return (answer === "" ? null : JSON.parse(answer)) as T;
  } catch (thrown) {
    throw problemFrom(thrown);
  }
}
