console.log("not me")
