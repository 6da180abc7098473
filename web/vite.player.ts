import { resolve } from "node:path";
import { defineConfig } from "vite";

/** `/player.js`: one module that any page can load; hls.js is a second file that it fetches only when it is needed. */
export default defineConfig({
  publicDir: false,
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: false,
    modulePreload: false,
    minify: true,
    lib: {
      entry: resolve(import.meta.dirname, "player/index.ts"),
      formats: ["es"],
      fileName: () => "player.js",
    },
    rolldownOptions: { output: { chunkFileNames: "assets/player-[name]-[hash].js" } },
  },
});
