import { resolve } from "node:path";
import { defineConfig } from "vite";

/** `/player.js`: one module that any page can load; hls.js is a second file that it fetches only when it is needed. */
export default defineConfig({
  publicDir: false,
  base: "./", // The second file lies beside this one, whichever page embeds it.
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: false,
    modulePreload: false,
    rolldownOptions: {
      input: resolve(import.meta.dirname, "player/index.ts"),
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "player.js", chunkFileNames: "assets/player-[name]-[hash].js" },
    },
  },
});
