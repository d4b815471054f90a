import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's own client as a producer, with its settings as they come: KafkaProduce BROKERS TOPIC, with one record a line
 * on standard input, its key and its value in base 64. Prints key and partition of each.
 */
public final class KafkaProduce {
    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        List<String> keys = new ArrayList<>();
        List<Future<RecordMetadata>> answers = new ArrayList<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] words = line.split(" ");
                byte[] key = words[0].getBytes(StandardCharsets.US_ASCII);
                keys.add(words[0]);
                answers.add(producer.send(
                        new ProducerRecord<>(arguments[1], key, Base64.getDecoder().decode(words[1]))));
            }
            for (int i = 0; i < keys.size(); i++) {
                System.out.println(keys.get(i) + " " + answers.get(i).get().partition());
            }
        }
    }
}
