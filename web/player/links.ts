/** Link headers (RFC 8288). */

export interface Link {
  url: string;
  /** Relations and other parameters by name; a parameter that is there twice counts once, the first. */
  rel: string[];
  parameters: Map<string, string>;
}

/** The links of a header. What is none of them is passed over. */
export function linksOf(header: string): Link[] {
  return [...header.matchAll(/<([^>]*)>((?:[^,<"]|"[^"]*")*)/g)].map(([, url = "", rest = ""]) => {
    const parameters = new Map<string, string>();
    for (const [, name = "", quoted, plain = ""] of rest.matchAll(
      /;\s*([\w*-]+)\s*=\s*(?:"([^"]*)"|([^\s;"]+))/g,
    )) {
      const key = name.toLowerCase();
      if (!parameters.has(key)) parameters.set(key, quoted ?? plain);
    }
    return { url, rel: (parameters.get("rel") ?? "").split(/\s+/), parameters };
  });
}

/** The target of the first link with this relation, absolute. */
export function linkOf(header: string, relation: string, base: string): string | null {
  const found = linksOf(header).find(({ rel }) => rel.includes(relation));
  return found ? new URL(found.url, base).href : null;
}
