const said: string = "typed";
console.log(said);
