# Varnish with its built-in rules, and ESI for the pages that ask for it. All of its tags are in the
# part of the language that it has.
vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "{origin}";
}

sub vcl_backend_response {
    if (beresp.http.Surrogate-Control ~ "ESI/1.0") {
        unset beresp.http.Surrogate-Control;
        set beresp.do_esi = true;
    }
}
