// Before the first paint: the remembered theme, so that nothing flashes.
{
  const theme = localStorage.getItem("jobyard-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
}
