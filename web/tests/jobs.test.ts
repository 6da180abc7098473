import { expect, test } from "vitest";
import { refusal } from "../api/jobs.ts";

const megabytes = (count: number): Blob => new Blob([new Uint8Array(count * 1_000_000)]);

test("a file of the right size is sent, one that is too large is refused with what to do", () => {
  expect(refusal("image", megabytes(10))).toBeNull();
  expect(refusal("audio", megabytes(11))).toBeNull();
  expect(refusal("image", megabytes(12))).toMatchObject({
    message: "The photo has 12.0 MB, and 10 MB are the most.",
    hint: "Save it with fewer pixels or as JPEG.",
  });
  expect(refusal("audio", megabytes(51))?.message).toContain("50 MB are the most");
});

test("one that is a byte too large never looks as if it were not", () => {
  const file = new Blob([new Uint8Array(10_000_001)]);
  expect(refusal("image", file)?.message).toBe("The photo has 10.1 MB, and 10 MB are the most.");
});

test("an empty file is refused", () => {
  expect(refusal("audio", new Blob([]))?.message).toBe("The recording is empty.");
});
