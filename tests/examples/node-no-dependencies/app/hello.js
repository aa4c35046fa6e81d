console.log("hello from", process.version.split(".")[0], "as", process.getuid());
