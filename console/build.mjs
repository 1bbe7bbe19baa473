// Makes ../app/console/static from src: scripts, one style sheet, the page, and the licences of what is bundled.
// The same sources give the same bytes, which is what CI checks.
import { build } from "esbuild";
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "../app/console/static");

const options = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  metafile: true,
  outdir: out,
  target: ["chrome120", "firefox121", "safari17.5"],
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
};

// What the first page has, every other one finds there: said to the bundler, which else cuts it into a piece for each
// set of pages that share something.
const afterTheFirst = {
  name: "after-the-first",
  setup(build) {
    const later = new Set();
    build.onResolve({ filter: /^\./ }, async ({ kind, path, ...rest }) => {
      if (kind !== "dynamic-import" || rest.pluginData) return null;
      const found = await build.resolve(path, { ...rest, kind, pluginData: true });
      later.add(found.path);
      return found;
    });
    build.onLoad({ filter: /\.tsx?$/ }, async ({ path }) => {
      const contents = await readFile(path, "utf8");
      const first = later.has(path) ? `import ${JSON.stringify(join(here, "src/main.tsx"))};\n` : "";
      return { contents: first + contents, loader: path.endsWith("x") ? "tsx" : "ts" };
    });
  },
};

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const scripts = await build({
  ...options,
  entryPoints: ["src/main.tsx"],
  format: "esm",
  splitting: true,
  jsx: "automatic",
  jsxImportSource: "preact",
  chunkNames: "[name]-[hash]",
  plugins: [afterTheFirst],
});
const styles = await build({ ...options, entryPoints: ["src/styles/main.css"] });

// What the first page needs is asked for at once, not as each script names the next.
const outputs = scripts.metafile.outputs;
const entry = Object.keys(outputs).find((name) => outputs[name].entryPoint === "src/main.tsx");
const needed = outputs[entry].imports.filter((each) => each.kind === "import-statement").map((each) => each.path);
const names = [...new Set(needed)].map((path) => path.split("/").pop());
const first = [entry, ...names.map((name) => Object.keys(outputs).find((path) => path.endsWith(`/${name}`)))];
await checkWords(first.flatMap((path) => Object.keys(outputs[path].inputs)));
const preloads = names.map((name) => `<link rel="modulepreload" href="{{assets}}/${name}">`).join("\n");
const page = await readFile(join(here, "src/index.html"), "utf8");
await writeFile(join(out, "index.html"), page.replace("<!-- preloads -->", preloads));
await cp(join(here, "src/icon.svg"), join(out, "icon.svg"));

// Every package of which something is in the bundle, with its licence. A package without one fails the build.
const inputs = [...Object.keys(scripts.metafile.inputs), ...Object.keys(styles.metafile.inputs)];
const packages = new Set(
  inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter((name) => name !== undefined),
);
const licences = [];
for (const name of [...packages].sort()) {
  const place = join(here, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(place, "package.json"), "utf8"));
  const file = (await readdir(place)).find((each) => /^licen[cs]e/i.test(each));
  if (license !== "MIT" || !file) throw new Error(`${name}: its licence is ${license} in ${file}; only MIT with its text is bundled`);
  const text = await readFile(join(place, file), "utf8");
  licences.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
}
await writeFile(join(out, "LICENSES.txt"), licences.join(`\n${"-".repeat(80)}\n\n`));

/** A script of the first page that says a word which comes later would show its key instead. */
async function checkWords(sources) {
  const words = await readFile(join(here, "src/words/en.ts"), "utf8");
  for (const source of sources.filter((path) => path.startsWith("src/"))) {
    const text = await readFile(join(here, source), "utf8");
    for (const [, inside] of text.matchAll(/\bt\(([^()]*)/g)) {
      for (const [, key] of inside.split(", {")[0].matchAll(/"(\w+)"/g)) {
        if (!new RegExp(`\\b${key}: `).test(words)) throw new Error(`${source}: move "${key}" from words/en-more.ts to words/en.ts`);
      }
    }
  }
}
