"""Lines that every site has and no text needs: cookie banners, legal notices, calls to share and subscribe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from pydantic import Field

from curate.declare import Rewrite

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BoilerplateLines"]

Language = Literal["en", "de", "fr", "es", "it", "nl", "pt", "pl", "sv"]

# In lower case. A line goes when it is one of these, marks and signs at its ends aside.
_WHOLE: dict[Language, str] = {
    "en": "accept all|accept all cookies|accept and close|accept cookies|add to cart|advertisement|allow all|"
    "allow all cookies|allow cookies|back to top|click to share|close menu|cookie notice|cookie policy|cookie preferences|"
    "cookie settings|cookies settings|decline all|follow us|follow us on facebook|follow us on instagram|"
    "follow us on social media|follow us on twitter|join our mailing list|leave a comment|load more|log in to reply|"
    "manage cookies|manage preferences|necessary cookies only|newsletter|newsletter signup|print this page|"
    "privacy & cookies|privacy policy|privacy settings|read more|reject all|reject all cookies|save preferences|"
    "share on facebook|share on linkedin|share on pinterest|share on twitter|share on whatsapp|share on x|share this|"
    "share this article|share this page|share this post|share this story|share via|sign up for our newsletter|sign up now|"
    "skip navigation|skip to content|skip to main content|sponsored content|subscribe now|subscribe to our newsletter|"
    "terms & conditions|terms and conditions|terms of service|terms of use|toggle navigation|tweet this",
    "de": "alle ablehnen|alle akzeptieren|alle cookies akzeptieren|alle cookies zulassen|alle zulassen|"
    "allgemeine geschäftsbedingungen|anzeige|artikel teilen|auf facebook teilen|auf twitter teilen|auswahl speichern|"
    "beitrag teilen|cookie-einstellungen|cookie-richtlinie|cookies akzeptieren|cookies zulassen|datenschutz|"
    "datenschutzerklärung|diese seite drucken|diesen artikel teilen|diesen beitrag teilen|einstellungen speichern|folge uns|"
    "folgen sie uns|ich stimme zu|impressum|jetzt abonnieren|jetzt anmelden|mehr erfahren|mehr lesen|nach oben|"
    "newsletter abonnieren|nur notwendige cookies|seite drucken|weiterlesen|werbung|zum inhalt springen|zum seitenanfang|"
    "zur navigation springen|zurück nach oben",
    "fr": "accepter et fermer|accepter les cookies|accepter tous les cookies|accepter tout|aller au contenu|"
    "aller au contenu principal|conditions générales d'utilisation|conditions générales de vente|continuer sans accepter|"
    "en savoir plus|gérer les cookies|gérer mes cookies|haut de page|imprimer cette page|inscription à la newsletter|"
    "lire la suite|mentions légales|paramétrer les cookies|partager cet article|partager cette page|partager sur facebook|"
    "partager sur linkedin|partager sur twitter|politique de confidentialité|politique de cookies|publicité|refuser tout|"
    "retour en haut|s'abonner à la newsletter|s'inscrire à la newsletter|suivez-nous|tout accepter|tout refuser",
    "es": "aceptar cookies|aceptar todas|aceptar todas las cookies|aceptar todo|aviso legal|comparte este artículo|"
    "compartir en facebook|compartir en twitter|compartir en whatsapp|compartir este artículo|configuración de cookies|"
    "configurar cookies|gestionar cookies|ir al contenido|leer más|política de cookies|política de privacidad|publicidad|"
    "rechazar todas|rechazar todo|saltar al contenido|seguir leyendo|suscribirse|suscríbete|suscríbete a nuestra newsletter|"
    "suscríbete a nuestro boletín|síganos|síguenos|términos y condiciones|volver arriba",
    "it": "accetta i cookie|accetta tutti|accetta tutti i cookie|accetta tutto|condividi questo articolo|"
    "condividi su facebook|condividi su twitter|condividi su whatsapp|continua a leggere|gestisci cookie|"
    "impostazioni dei cookie|informativa sui cookie|informativa sulla privacy|iscriviti alla newsletter|"
    "iscriviti alla nostra newsletter|leggi tutto|note legali|preferenze cookie|pubblicità|rifiuta tutti|rifiuta tutto|"
    "seguici|seguici su facebook|seguici su instagram|termini e condizioni|torna su|vai al contenuto",
    "nl": "accepteer alle cookies|advertentie|algemene voorwaarden|alle cookies accepteren|alle cookies toestaan|"
    "alles accepteren|alles weigeren|cookie-instellingen|cookiebeleid|cookies accepteren|deel dit artikel|deel dit bericht|"
    "deel op facebook|deel op twitter|delen op facebook|delen via whatsapp|lees meer|lees verder|"
    "meld je aan voor de nieuwsbrief|meld je aan voor onze nieuwsbrief|naar boven|naar inhoud springen|privacybeleid|"
    "privacyverklaring|schrijf je in voor onze nieuwsbrief|spring naar inhoud|terug naar boven|volg ons",
    "pt": "aceitar cookies|aceitar todos|aceitar todos os cookies|aceitar tudo|assine a nossa newsletter|"
    "assine nossa newsletter|aviso legal|compartilhar no facebook|compartilhar no twitter|compartilhar no whatsapp|"
    "compartilhe este artigo|configurações de cookies|continuar lendo|continue lendo|definições de cookies|"
    "ir para o conteúdo|leia mais|ler mais|partilhar este artigo|partilhar no facebook|política de cookies|"
    "política de privacidade|publicidade|pular para o conteúdo|rejeitar todos|rejeitar tudo|siga-nos|"
    "subscreva a nossa newsletter|termos de uso|termos e condições|voltar ao topo",
    "pl": "akceptuj wszystkie|czytaj dalej|czytaj więcej|do góry|polityka cookies|polityka prywatności|przejdź do treści|"
    "reklama|udostępnij na facebooku|ustawienia plików cookie|wróć na górę|zaakceptuj wszystkie|zapisz się do newslettera",
    "sv": "acceptera alla|acceptera alla cookies|annons|cookie-inställningar|dela på facebook|dela på twitter|dela sidan|"
    "följ oss|godkänn alla cookies|gå till innehåll|hoppa till innehåll|integritetspolicy|läs mer|"
    "prenumerera på vårt nyhetsbrev|till toppen",
}  # fmt: skip
# A short line goes when it holds one of these.
_PART: dict[Language, str] = {
    "en": "accept our use of cookies|accept the use of cookies|agree to our use of cookies|agree to the use of cookies|"
    "all rights reserved|browser does not support javascript|click to email this to a friend|click to share on|"
    "consent to our use of cookies|consent to the use of cookies|enable javascript|javascript is disabled|"
    "javascript is not enabled|javascript must be enabled|javascript seems to be disabled|opens in new window)|"
    "our site uses cookies|our website uses cookies|required fields are marked|sign up for our free newsletter|"
    "sign up for our newsletter|sign up to our newsletter|sign up to receive our newsletter|subscribe to our mailing list|"
    "subscribe to our newsletter|this site is protected by recaptcha|this site uses cookies|this website uses cookies|"
    "uses cookies to ensure|uses cookies to give|uses cookies to improve|uses cookies to provide|we use cookies|"
    "you can unsubscribe at any time|your email address will not be published",
    "de": "abonnieren sie unseren newsletter|aktivieren sie javascript|alle rechte vorbehalten|bitte javascript|"
    "diese seite nutzt cookies|diese seite verwendet cookies|diese webseite nutzt cookies|diese webseite verwendet cookies|"
    "diese website nutzt cookies|diese website verwendet cookies|e-mail-adresse wird nicht veröffentlicht|"
    "erforderliche felder sind mit|javascript aktivieren|javascript ist deaktiviert|newsletter abonnieren|"
    "newsletter anmelden|unsere website verwendet cookies|verwendung von cookies einverstanden|verwendung von cookies zu|"
    "wir nutzen cookies|wir verwenden cookies",
    "fr": "abonnez-vous à notre newsletter|activer javascript|activez javascript|adresse de messagerie ne sera pas publiée|"
    "adresse e-mail ne sera pas publiée|ce site utilise des cookies|champs obligatoires sont indiqués|"
    "inscrivez-vous à notre newsletter|javascript est désactivé|notre site utilise des cookies|nous utilisons des cookies|"
    "nous utilisons les cookies|recevez notre newsletter|tous droits réservés|vous acceptez l'utilisation de cookies|"
    "vous acceptez l'utilisation des cookies|vous acceptez l’utilisation de cookies|vous acceptez l’utilisation des cookies",
    "es": "acepta el uso de cookies|aceptas el uso de cookies|active javascript|campos obligatorios están marcados|"
    "correo electrónico no será publicada|esta página utiliza cookies|esta web utiliza cookies|este sitio usa cookies|"
    "este sitio utiliza cookies|este sitio web usa cookies|este sitio web utiliza cookies|habilita javascript|"
    "habilite javascript|javascript está desactivado|javascript está deshabilitado|suscríbase a nuestro boletín|"
    "suscríbete a nuestra newsletter|suscríbete a nuestro boletín|todos los derechos reservados|usamos cookies|"
    "utilizamos cookies",
    "it": "abilita javascript|abilitare javascript|accetti l'uso dei cookie|acconsenti all'uso dei cookie|"
    "acconsenti all'utilizzo dei cookie|campi obbligatori sono contrassegnati|indirizzo email non sarà pubblicato|"
    "iscriviti alla newsletter|iscriviti alla nostra newsletter|javascript è disabilitato|questo sito usa cookie|"
    "questo sito usa i cookie|questo sito utilizza cookie|questo sito utilizza i cookie|tutti i diritti riservati|"
    "tutti i diritti sono riservati|usiamo i cookie|utilizziamo cookie|utilizziamo i cookie",
    "nl": "akkoord met het gebruik van cookies|alle rechten voorbehouden|deze site gebruikt cookies|"
    "deze site maakt gebruik van cookies|deze website gebruikt cookies|deze website maakt gebruik van cookies|"
    "e-mailadres wordt niet gepubliceerd|inschrijven voor onze nieuwsbrief|javascript is uitgeschakeld|javascript staat uit|"
    "meld je aan voor onze nieuwsbrief|schakel javascript in|schrijf je in voor onze nieuwsbrief|"
    "vereiste velden zijn gemarkeerd|we gebruiken cookies|wij gebruiken cookies",
    "pt": "aceita a utilização de cookies|aceita o uso de cookies|assine nossa newsletter|ative o javascript|"
    "campos obrigatórios são marcados|concorda com a utilização de cookies|concorda com o uso de cookies|"
    "endereço de e-mail não será publicado|este site usa cookies|este site utiliza cookies|este website usa cookies|"
    "este website utiliza cookies|habilite o javascript|javascript está desabilitado|javascript está desativado|"
    "subscreva a nossa newsletter|todos os direitos reservados|usamos cookies|utilizamos cookies",
    "pl": "adres e-mail nie zostanie opublikowany|strona używa plików cookie|ta strona korzysta z plików cookie|"
    "ta strona używa ciasteczek|ta strona używa cookies|ta strona używa plików cookie|używamy plików cookie|"
    "wszelkie prawa zastrzeżone|wszystkie prawa zastrzeżone|włącz obsługę javascript|zapisz się do naszego newslettera",
    "sv": "aktivera javascript|alla rättigheter förbehållna|e-postadress kommer inte publiceras|javascript är avstängt|"
    "javascript är inaktiverat|med ensamrätt|obligatoriska fält är märkta|prenumerera på vårt nyhetsbrev|"
    "sidan använder cookies|vi använder cookies|webbplatsen använder cookies",
}  # fmt: skip
# What may stand at the ends of such a line: marks, bullets, arrows, signs.
_ENDS = " \t\r\u00a0.,:;!?…*•·-–—_|/\\<>«»‹›\"'“”„()[]{}#+=~^►▶▼▲△▽→←↑↓⇒×✓✔✕✖©®™"


class BoilerplateLines(Rewrite):
    """Drop lines of web pages that belong to the site and not to the text: cookie banners, "Share this", "All rights reserved".

    A list of phrases, some 40 a language: a line goes when it is one of those that make a whole line ("Accept all cookies"), or
    is short and holds one that says it all ("we use cookies"). Case and the marks at its ends do not matter. Blocks of code
    stay (fenced or indented, as CommonMark has them); a blank line that only parted the line from its neighbours goes with it.
    For web pages, where such lines are the site's: a book's imprint loses "All rights reserved" too. O(bytes).
    """

    step: Literal["boilerplate_lines"] = "boilerplate_lines"
    releases_gil: ClassVar[bool] = True
    languages: tuple[Language, ...] = Field(
        get_args(Language), min_length=1, description="Languages whose phrases are looked for, whatever the text's own."
    )
    max_words: int = Field(
        25, ge=1, description="Most words, cut at white space, of a line that goes for a phrase that it holds."
    )

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        import numpy as np
        import polars as pl

        from curate.analysis import text_buffers
        from curate.kernels.columns import strings
        from curate.kernels.edits import drop_lines, take_spans
        from curate.kernels.line_kinds import code_lines, line_measures
        from curate.kernels.lines import lines

        whole = pl.Series(sorted({phrase for language in self.languages for phrase in _WHOLE[language].split("|")}))
        parts = sorted({phrase for language in self.languages for phrase in _PART[language].split("|")})
        longest = max(phrase.count(" ") + 1 for phrase in whole) + 2  # a sign at either end

        def rewrite(texts: pl.Series) -> pl.Series:
            offsets, data = text_buffers(texts)
            found = lines(offsets, data)
            words = line_measures(found, data).words
            short = (words > 0) & (words <= max(self.max_words, longest)) & ~code_lines(found, data)
            which = np.flatnonzero(short)
            line = pl.Series(strings(*take_spans(data, found.starts[which], found.ends[which])), dtype=pl.String)
            line = line.str.to_lowercase()
            holds = line.str.contains_any(parts).to_numpy() & (words[which] <= self.max_words)
            brief = np.flatnonzero(words[which] <= longest)
            holds[brief] |= line.gather(brief).str.strip_chars(_ENDS).is_in(whole.implode()).to_numpy()
            drop = np.zeros(len(words), np.bool_)
            drop[which[holds]] = True
            return pl.Series(strings(*drop_lines(offsets, data, found, drop)), dtype=pl.String) if drop.any() else texts

        return rewrite
