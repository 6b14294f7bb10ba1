// Shows this server's own description; ours, not third-party.
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger",
  deepLinking: true,
  validatorUrl: null,
});
