import { resolve } from "node:path";
import { defineConfig, type Plugin } from "vite";

/** In development the pages' `/player.js` is the player's source; in a build it is the file that vite.player.ts makes. */
const playerInDevelopment: Plugin = {
  name: "player-in-development",
  apply: "serve",
  configureServer(server) {
    server.middlewares.use((request, _response, next) => {
      if (request.url === "/player.js") request.url = "/player/index.ts";
      const page = request.url?.split("?")[0] ?? "";
      if (/^\/(console|camera)\/?$/.test(page)) request.url = `${page.replace(/\/$/, "")}.html`;
      if (page.startsWith("/watch/")) request.url = "/watch.html";
      next();
    });
  },
};

const server = process.env.AVACAST_SERVER ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [playerInDevelopment],
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      external: ["/player.js"],
      input: ["index.html", "watch.html", "camera.html", "console.html"].map((page) =>
        resolve(import.meta.dirname, page),
      ),
    },
  },
  server: {
    proxy: Object.fromEntries(["/api", "/whip", "/whep", "/n", "/health"].map((path) => [path, server])),
  },
});
