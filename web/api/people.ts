/** The people whom an origin draws, as the avatar of a broadcast: those of whom there is a picture. */

const pictures = import.meta.glob<string>("../people/*.jpg", {
  eager: true,
  query: "?url",
  import: "default",
});

export interface Person {
  /** As the API names it: `avatar` of a broadcast. */
  avatar: string;
  /** Address of a small picture. */
  picture: string;
}

export const PEOPLE: Person[] = Object.entries(pictures).map(([path, picture]) => ({
  avatar: path.replace(/^.*\/|\.jpg$/g, ""),
  picture,
}));

/** The name that people read: an avatar's, with a capital. */
export function nameOf(avatar: string): string {
  return avatar.charAt(0).toUpperCase() + avatar.slice(1);
}
