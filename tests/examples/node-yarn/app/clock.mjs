import ms from "ms";

console.log("clock", ms("1m"));
