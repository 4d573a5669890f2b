// Node: worker_threads, the pool of libuv for files and for crypto, children,
// an HTTP server, signals, and an end by itself.  Prints what must come out
// whatever the order in which the threads ran.

import { Worker, isMainThread, parentPort, workerData } from "worker_threads";
import { exec, fork } from "child_process";
import { createHash, pbkdf2, randomBytes, scrypt } from "crypto";
import { promises as fs } from "fs";
import { deflate, inflate } from "zlib";
import { lookup } from "dns";
import { fileURLToPath } from "url";
import { promisify } from "util";
import http from "http";
import os from "os";
import path from "path";

const self = fileURLToPath(import.meta.url);
const sha = (data) => createHash("sha256").update(data).digest("hex");
const range = (count) => [...Array(count).keys()];
const all = (count, body) => Promise.all(range(count).map(body));

// --- what a worker does ----------------------------------------------------

function work({ kind, cells, n }) {
	const shared = new Int32Array(cells);
	switch (kind) {
	case "count":
		for (let i = 0; i < 1000; i++)
			Atomics.add(shared, 0, 1);
		parentPort.postMessage(n);
		break;
	case "turn":
		// Atomics.wait() is a condition variable in V8.
		for (;;) {
			const at = Atomics.load(shared, 1);
			if (at == n)
				break;
			Atomics.wait(shared, 1, at);
		}
		Atomics.add(shared, 1, 1);
		Atomics.notify(shared, 1);
		break;
	case "throw":
		throw new Error("on purpose");
	case "exit":
		process.exit(n);
		break;
	case "spin":
		parentPort.postMessage("up");
		for (;;)
			;
	case "deep": {
		const deeper = (x) => 1 + deeper(x + 1);
		try {
			deeper(0);
		} catch (e) {
			parentPort.postMessage(e instanceof RangeError);
		}
		break;
	}
	}
}

const ended = (worker) => new Promise((done) => {
	const seen = { messages: [], error: null };
	worker.on("message", (m) => seen.messages.push(m));
	worker.on("error", (e) => { seen.error = e.message; });
	worker.on("exit", (code) => done({ ...seen, code }));
});

// --- the main thread -------------------------------------------------------

async function workers() {
	const cells = new SharedArrayBuffer(8);
	const shared = new Int32Array(cells);
	const run = (kind, n) =>
		ended(new Worker(self, { workerData: { kind, cells, n } }));

	const counts = await all(12, (n) => run("count", n));
	await all(8, (n) => run("turn", n));
	console.log("workers", shared[0], shared[1],
	    counts.every((c, n) => c.messages[0] == n && c.code == 0));
	const failed = await run("throw", 0);
	const left = await run("exit", 42);
	const deep = await run("deep", 0);
	console.log("ends", failed.error, failed.code, left.code,
	    deep.messages[0]);
	const spin = new Worker(self, { workerData: { kind: "spin" } });
	const over = ended(spin);
	await new Promise((up) => spin.once("message", up));
	await spin.terminate();
	console.log("terminated", (await over).code);
}

async function files() {
	const dir = await fs.mkdtemp(path.join(os.tmpdir(), "node-"));
	const same = await all(300, async (n) => {
		const name = path.join(dir, `${n}`);
		const data = Buffer.alloc(n * 97, n);
		await fs.writeFile(name, data);
		await fs.rename(name, name + ".x");
		const back = await fs.readFile(name + ".x");
		const { size } = await fs.stat(name + ".x");
		await fs.unlink(name + ".x");
		return back.equals(data) && size == data.length;
	});
	await fs.rmdir(dir);
	console.log("files", same.filter((x) => x).length);
}

async function pool() {
	const key = promisify(pbkdf2);
	const keys = await all(20, (n) => key("word", `${n}`, 500, 32, "sha256"));
	const hard = await all(6, (n) =>
	    promisify(scrypt)("word", `${n}`, 32, { N: 256 }));
	const random = await all(50, () => promisify(randomBytes)(16));
	const packed = await all(20, async (n) => {
		const data = Buffer.alloc(50000, `${n} and so on `);
		const back = await promisify(inflate)(
		    await promisify(deflate)(data));
		return back.equals(data);
	});
	const here = await all(10, () => promisify(lookup)("localhost", 4));
	console.log("pool", sha(Buffer.concat(keys)), sha(Buffer.concat(hard)),
	    new Set(random.map(String)).size, packed.every((x) => x),
	    here.every((x) => x.address == "127.0.0.1"));
}

async function children() {
	const texts = await all(15, async (n) =>
	    (await promisify(exec)(`echo ${n}; sleep 0.0${n % 10}`)).stdout);
	const codes = await all(5, (n) => new Promise((done) => {
		exec(`exit ${n}`, (e) => done(e ? e.code : 0));
	}));
	const signal = await new Promise((done) => {
		exec("kill -9 $$", (e) => done(e.signal));
	});
	// A child with a channel, which is a Node with threads of its own.
	const child = fork(self, ["child"]);
	const answer = await new Promise((done) => {
		child.on("message", done);
		child.send(20);
	});
	const code = await new Promise((done) => child.on("exit", done));
	console.log("children", texts.map((t) => +t).join(), codes.join(),
	    signal, answer, code);
}

async function server() {
	const serve = http.createServer((request, response) => {
		const parts = [];
		request.on("data", (d) => parts.push(d));
		request.on("end", () =>
		    response.end(sha(Buffer.concat(parts))));
	});
	await new Promise((up) => serve.listen(0, "127.0.0.1", up));
	const { port } = serve.address();
	const agent = new http.Agent({ keepAlive: true, maxSockets: 50 });
	const ask = (body) => new Promise((done, fail) => {
		const request = http.request({ port, agent, method: "POST",
		    host: "127.0.0.1" }, (response) => {
			let text = "";
			response.on("data", (d) => { text += d; });
			response.on("end", () => done(text));
		});
		request.on("error", fail);
		request.end(body);
	});
	const right = await all(200, async (n) => {
		const body = Buffer.alloc(n * 301, `${n}`);
		return await ask(body) == sha(body);
	});
	agent.destroy();
	await new Promise((down) => serve.close(down));
	console.log("server", right.filter((x) => x).length);
}

// Each is sent when the one before has arrived: equal signals are merged.
async function signals() {
	const seen = [];
	// A handler alone keeps no loop going.
	const awake = setInterval(() => {}, 1000);
	const names = ["SIGUSR2", "SIGHUP", "SIGTERM", "SIGINT", "SIGWINCH"];
	for (const name of names)
		await new Promise((come) => {
			process.once(name, () => {
				seen.push(name);
				come();
			});
			process.kill(process.pid, name);
		});
	clearInterval(awake);
	const alive = process.kill(process.pid, 0);
	let error = "";
	try {
		process.kill(2 ** 30, 0);
	} catch (e) {
		error = e.code;
	}
	console.log("signals", seen.join(), alive, error);
}

if (!isMainThread) {
	work(workerData);
} else if (process.argv[2] == "child") {
	process.once("message", async (n) => {
		const keys = await all(n, (i) =>
		    promisify(pbkdf2)("w", `${i}`, 10, 8, "sha1"));
		process.send(keys.length);
		process.disconnect();
		process.exitCode = 5;
	});
} else if (process.argv[2] == "wait") {
	// To be ended from outside, by default or by a handler.
	const spin = new Worker(self, { workerData: { kind: "spin" } });
	if (process.argv[3] == "handler")
		process.on("SIGTERM", () => process.exit(9));
	spin.once("message", () => console.log("ready"));
} else {
	await workers();
	await files();
	await pool();
	await children();
	await server();
	await signals();
	process.on("exit", (code) => console.log("exit", code));
}
