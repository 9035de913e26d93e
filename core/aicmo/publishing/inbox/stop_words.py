"""The words with which people leave, when they say nothing else.

Every phrase is the whole of what somebody writes, because “please do not stop” has a stop in it, too. What is not in
the table is left to a person.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200
"""Characters; whoever writes more says more."""

_PHRASES = """
unsubscribe; unsubscribe me; unsubscribe me from this list; unsubscribe me from your list; unsubscribe from list
unsubscribe me from your mailing list; unsubscribe me from this mailing list; opt out; opt me out; i want to unsubscribe
i would like to unsubscribe; i want to opt out; i wish to unsubscribe; stop; stop it; stop emailing me
stop e mailing me; stop mailing me; stop writing to me; stop sending me emails; stop sending me mail; stop all
stop this; stop contacting me; remove; remove me; remove me from list; remove me from your list
remove me from this list; remove me from the list
remove me from your mailing list; remove me from this mailing list; remove my email; remove my address
remove my email address; take me off; take me off your list; take me off this list; take me off the list
take me off your mailing list; delete me from your list; do not email me; do not email me again; don t email me
don t email me again; do not contact me; do not contact me again; don t contact me again; no more emails; no more mails
abmelden; abmeldung; abbestellen; austragen; newsletter abbestellen; newsletter abmelden; ich mochte mich abmelden
abmelden vom newsletter; ich will keine mails mehr; keine mails mehr; keine e mails mehr; streichen sie mich
keine emails mehr; keine weiteren mails; keine weiteren e mails; keine weiteren emails; keine mails mehr senden
keine e mails mehr senden; keine emails mehr senden; keine mails mehr schicken; keine e mails mehr schicken
keine emails mehr schicken
nehmen sie mich aus dem verteiler; nehmen sie mich aus ihrem verteiler; nimm mich aus dem verteiler
aus dem verteiler nehmen; tragen sie mich aus; streichen sie mich aus dem verteiler; keine werbung mehr; stopp
desinscription; desinscrire; me desinscrire; desinscrivez moi; desabonnement; desabonner; me desabonner; desabonnez moi
se desabonner; se desinscrire; je souhaite me desabonner; je souhaite me desinscrire; je veux me desabonner
retirez moi de votre liste; de me retirer de votre liste; de me retirer de votre liste de diffusion; arretez
baja; darme de baja; dar de baja; denme de baja; deme de baja; quiero darme de baja; denme de baja de su lista
deme de baja de su lista; cancelar suscripcion; cancelar la suscripcion; cancelar mi suscripcion; no mas correos
eliminarme de la lista; borrenme de su lista; desuscribir; desuscribirme
disiscrivimi; disiscrivetemi; disiscrizione; cancellami; cancellatemi; annulla iscrizione; cancellazione
voglio disiscrivermi; rimuovetemi dalla lista; cancellatemi dalla lista; rimuovimi; rimuovimi dalla lista
afmelden; uitschrijven; schrijf mij uit; schrijf me uit; ik wil me afmelden; ik wil mij afmelden; haal mij van de lijst
cancelar inscricao; cancelar assinatura; descadastrar; remover; remover me; me remova; me remova da lista; sair
wypisz mnie; wypisz; o wypisanie mnie z listy; rezygnuje; wypisz mnie z listy; wypisac; anuluj subskrypcje
avregistrera; avprenumerera; avsluta prenumeration; avmeld; avmeld meg; frameld; afmeld; afmeld mig; meld meg av
peruuta tilaus; poista listalta; odhlasit; odhlasit odber; odhlaste me; leiratkozas; leiratkozom; dezabonare
отписаться; отписка; отпишите меня; відписатися; απεγγραφη; διαγραφη; iptal; abonelikten cik; listeden cikar
配信停止; 配信を停止してください; 退会; 解除; メーリングリストから削除をお願いします
退订; 取消订阅; 退訂; 수신거부; 구독취소
"""
_POLITE = """
please; pls; plz; kindly; could you; can you; would you; thanks; thank you; many thanks; hi; hello; dear; regards; best
bitte; danke; vielen dank; hallo; mfg; merci; bonjour; s il vous plait; svp; por favor; gracias; hola; saludos
per favore; grazie; ciao; alstublieft; alsjeblieft; bedankt; obrigado; obrigada; prosze; dziekuje; tack; takk; tak
"""
"""What may stand before or after a phrase and changes nothing."""
_NO_LETTER = re.compile(r"[\W_]+")


def is_stop(text: str) -> bool:
    """Whether ``text`` says that somebody wants no more mail, and nothing else."""
    if len(text) > LONGEST:
        return False
    said = _bare(text)
    while said and said not in _STOP:
        shorter = _less_polite(said)
        if shorter == said:
            return False
        said = shorter
    return said in _STOP


def _less_polite(said: str) -> str:
    for words in _ADDED:
        if said.startswith(f"{words} "):
            return said[len(words) + 1 :]
        if said.endswith(f" {words}"):
            return said[: -len(words) - 1]
    return said


def _bare(text: str) -> str:
    """Without case, accents and signs; words one space apart."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(each for each in apart if not unicodedata.combining(each))
    return _NO_LETTER.sub(" ", letters).strip()


def _table(text: str) -> frozenset[str]:
    return frozenset(_bare(phrase) for phrase in re.split("[;\n]", text) if phrase.strip())


_STOP = _table(_PHRASES)
_ADDED = tuple(sorted(_table(_POLITE), key=len, reverse=True))
