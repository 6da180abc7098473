/** Who is seen, as a small picture: one of the people, somebody else by name, or (null) whoever a photo shows. */

import { PEOPLE } from "../api/people.ts";

export function Face({ avatar }: { avatar: string | null }) {
  const picture = PEOPLE.find((one) => one.avatar === avatar)?.picture;
  if (picture) return <img src={picture} alt="" width="56" height="56" />;
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true">
      {avatar === null ? (
        <path d="M4 5h16v14H4zm0 11 5-5 4 4 3-3 4 4M15.500 9.500h.01" />
      ) : (
        <path d="M12 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7M5 20c0-4 3-6 7-6s7 2 7 6" />
      )}
    </svg>
  );
}
