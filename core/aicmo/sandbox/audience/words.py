"""What the audience writes, in the languages it writes: plain sentences, none a translation of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """One language."""

    replies: tuple[str, ...]
    wrote: str
    """The line before a quote; ``{who}`` is the address that is quoted."""
    new_subject: str
    away_subject: str
    """Before the original's subject (RFC 3834 3.1.5)."""
    away: tuple[str, ...]
    leave_me_alone: tuple[str, ...]


LANGUAGES: Mapping[str, Words] = {
    "en": Words(
        replies=(
            "Thanks for this. Could you send me the prices for a team of twelve?",
            "We tried the trial in spring and liked it. Is Thursday at three good for a call?",
            "Not for us right now, but do ask again after New Year.",
            "Does it work without a network? Our workshop has none.",
            "You have the wrong Sam, I think, but the tour is nice.\n\nSent from my phone",
            "Lovely. Who wrote the second paragraph? It made me laugh.",
        ),
        wrote="On a Tuesday, {who} wrote:",
        new_subject="A question about your offer",
        away_subject="Out of office: ",
        away=(
            "I am away until Monday and read no mail. In urgent cases my colleagues are glad to help.",
            "Thank you for your message. I am on parental leave and back in the new year.",
        ),
        leave_me_alone=(
            "Please take me off your list.",
            "unsubscribe",
            "Remove me from this mailing list, please. I never asked for it.",
            "STOP",
            "Could you please not send me these any more? Thank you.",
        ),
    ),
    "fr": Words(
        replies=(
            "Merci pour votre message. Pouvez-vous m'envoyer un devis pour huit personnes ?",
            "C'est intéressant, mais pas avant l'été. Recontactez-moi en juin.",
        ),
        wrote="Mardi, {who} a écrit :",
        new_subject="Une question sur votre offre",
        away_subject="Absence du bureau : ",
        away=("Je suis en congé jusqu'au 3 et ne lis pas mes messages. Pour toute urgence, appelez l'accueil.",),
        leave_me_alone=("Merci de me retirer de votre liste de diffusion.", "Désinscription"),
    ),
    "de": Words(
        replies=(
            "Vielen Dank, das klingt gut. Können wir am Freitag kurz telefonieren?",
            "Gibt es das auch auf Rechnung? Wir sind eine Behörde und haben keine Kreditkarte.",
        ),
        wrote="Am Dienstag schrieb {who}:",
        new_subject="Frage zu Ihrem Angebot",
        away_subject="Automatische Antwort: ",
        away=("Ich bin bis zum 14. nicht im Büro. Ihre Nachricht wird nicht weitergeleitet.",),
        leave_me_alone=("Bitte nehmen Sie mich aus dem Verteiler.", "Abmelden"),
    ),
    "es": Words(
        replies=(
            "¡Gracias! ¿Tienen también una versión en español?",
            "Me interesa. ¿Podemos hablar el jueves por la mañana?",
        ),
        wrote="El martes, {who} escribió:",
        new_subject="Una pregunta sobre su oferta",
        away_subject="Respuesta automática: ",
        away=("Estoy de vacaciones hasta el lunes y leeré su mensaje a mi regreso.",),
        leave_me_alone=("Por favor, denme de baja de su lista.", "Baja"),
    ),
    "pl": Words(
        replies=("Dziękuję, brzmi ciekawie. Ile to kosztuje przy pięciu osobach?", "Proszę o kontakt po świętach."),
        wrote="We wtorek {who} napisał(a):",
        new_subject="Pytanie o ofertę",
        away_subject="Autoodpowiedź: ",
        away=("Jestem na urlopie do poniedziałku. Odpiszę po powrocie.",),
        leave_me_alone=("Proszę o wypisanie mnie z listy.", "Wypisz mnie"),
    ),
    "ja": Words(
        replies=("ご連絡ありがとうございます。来週お電話でお話しできますか。", "資料を送っていただけますでしょうか。"),
        wrote="火曜日に {who} さんが書きました:",
        new_subject="ご提案についての質問",
        away_subject="不在通知: ",
        away=("月曜日まで休暇をいただいております。戻り次第ご返信いたします。",),
        leave_me_alone=("配信を停止してください。", "メーリングリストから削除をお願いします。"),
    ),
}

ENGLISH_SPEAKERS = 0.7
"""The share of the audience that writes English; the others share the rest."""
