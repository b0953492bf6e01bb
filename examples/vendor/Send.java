/* Send one notice with one attachment, and wait for what becomes of it. Java 8, standard library only.
 *
 *     javac -encoding UTF-8 Send.java
 *     java Send OUTBOX STATUS ATTACHMENT SENDER RECEIVER REFERENCE TITLE [utf-8|gbk|gb18030]
 * The three steps that count are marked 1, 2, 3. All else is this one business type: see README.md.
 * 三个关键步骤标为 1、2、3；其余内容只与本业务类型有关，见 README.md。 */

import java.io.*;
import java.nio.file.*;
import java.security.*;
import java.time.OffsetDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.stream.*;
import org.w3c.dom.*;

public class Send {
    static final String BUSINESS_TYPE = "notice.publish"; // 通知公告: guide, business types
    static final String DOCUMENT_TYPE = "COM-017"; // the document that this type requires 必备文书

    /** Put the drop into the outbox. 投递。 */
    static void send(Path outbox, Path attachment, String sender, String receiver, String reference,
            String title, String encoding) throws Exception {
        String name = reference; // new for every drop: letters, digits, hyphens 每次不同
        Path folder = outbox.resolve(name + ".tmp");
        Files.createDirectory(folder); // 1. a temporary name: nobody reads what ends in .tmp 临时名
        String fileName = attachment.getFileName().toString();
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        try (InputStream reader = new DigestInputStream(Files.newInputStream(attachment), digest)) {
            Files.copy(reader, folder.resolve(fileName));
        }
        String size = String.valueOf(Files.size(folder.resolve(fileName))); // 2. size and digest 大小和摘要
        String sha256 = String.format("%064x", new java.math.BigInteger(1, digest.digest()));
        try (OutputStream file = Files.newOutputStream(folder.resolve("packet.xml"))) {
            // The declaration names the encoding; what GBK lacks becomes &#...; by itself.
            XMLStreamWriter xml = XMLOutputFactory.newInstance().createXMLStreamWriter(file, encoding);
            xml.writeStartDocument(encoding, "1.0");
            xml.writeStartElement("packet");
            xml.writeDefaultNamespace("urn:exchanged:packet:1");
            xml.writeAttribute("version", "1.0");
            xml.writeStartElement("envelope"); // in this order 顺序固定
            String now = OffsetDateTime.now().withNano(0).format(DateTimeFormatter.ISO_OFFSET_DATE_TIME);
            String[] fields = {"senderRef", reference, "businessType", BUSINESS_TYPE, "sender", sender,
                "receiver", receiver, "createdAt", now, "priority", "normal", "track", "single",
                "handover", "copy", "secrecy", "none"};
            for (int i = 0; i < fields.length; i += 2) write(xml, fields[i], fields[i + 1]);
            xml.writeEndElement();
            xml.writeStartElement("body");
            xml.writeStartElement(BUSINESS_TYPE);
            xml.writeDefaultNamespace("urn:exchanged:body:1");
            write(xml, "notice_title", title);
            for (int i = 0; i < 2; i++) xml.writeEndElement(); // of the type, of the body
            for (String element : new String[] {"attachments", "attachment"}) xml.writeStartElement(element);
            String[] listed = {"file", fileName, "documentType", DOCUMENT_TYPE, "size", size, "sha256", sha256};
            for (int i = 0; i < listed.length; i += 2) xml.writeAttribute(listed[i], listed[i + 1]);
            xml.writeEndDocument();
            xml.close();
        }
        Files.move(folder, outbox.resolve(name), StandardCopyOption.ATOMIC_MOVE); // 3. the rename comes last 最后改名
    }

    static void write(XMLStreamWriter xml, String element, String text) throws XMLStreamException {
        xml.writeStartElement(element); xml.writeCharacters(text); xml.writeEndElement();
    }

    static Element load(File file) throws Exception { // null: not there yet, or just being replaced
        try { return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(file).getDocumentElement(); }
        catch (IOException notThereYet) { return null; }
    }

    /** Tell each state until it is final; the last one. 轮询状态，直到终态。 */
    static String await(File file, String old) throws Exception {
        for (String before = "";; Thread.sleep(1000)) {
            Element root = load(file);
            if (root == null || read(root, "updatedAt").equals(old)) continue; // of an earlier drop 旧状态
            String state = read(root, "state");
            if (!state.equals(before)) System.out.println("state: " + state + " " + read(root, "zh"));
            before = state;
            if (!read(root, "final").equals("true")) continue;
            NodeList found = root.getElementsByTagName("finding");
            for (int i = 0; i < found.getLength(); i++) {
                Element finding = (Element) found.item(i);
                System.out.println("finding: " + finding.getAttribute("code") + " " + read(finding, "zh")
                    + "\n         " + read(finding, "en"));
            }
            return state;
        }
    }

    static String read(Element in, String name) { return in.getElementsByTagName(name).item(0).getTextContent(); }

    public static void main(String[] a) throws Exception {
        File status = new File(a[1], a[5] + ".status.xml");
        Element old = load(status); // an earlier drop of that name may have left one 同名旧件的状态
        send(Paths.get(a[0]), Paths.get(a[2]), a[3], a[4], a[5], a[6], a.length > 7 ? a[7] : "utf-8");
        String state = await(status, old == null ? "" : read(old, "updatedAt"));
        System.exit(Arrays.asList("delivered", "collected", "signed").contains(state) ? 0 : 1);
    }
}
